"""Commands for pictures and scans of one's own, in folders."""

import shlex
from collections.abc import Iterable
from contextlib import chdir
from pathlib import Path
from typing import Annotated, Any

import typer

from segtrans.cli.command import Commands, file_to_write, folder_to_write
from segtrans.cli.options import DataSeed, Output
from segtrans.errors import NOTE

commands = Commands()

OwnFolder = Annotated[
    Path,
    typer.Argument(help="Folder with present/, absent/ and masks/, or with dataset.csv."),
]
TaskName = Annotated[str, typer.Option(help="Name of the task.")]
Report = Annotated[
    Path,
    typer.Option(help="Folder of the report: counts, a picture.", callback=folder_to_write),
]
Processes = Annotated[
    int | None,
    typer.Option(min=1, help="Processes that read.", show_default="one for each processor"),
]
Definition = Annotated[
    str | None,
    typer.Option(
        help="JSON of the entry in data_sets; takes precedence over dataset.yaml in the folder.",
        show_default="dataset.yaml, else the first image or scan decides",
    ),
]


@commands.command()
def check(
    folder: OwnFolder,
    definition: Definition = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            help="Contact sheet to write, as PNG: some images with their masks.",
            callback=file_to_write,
        ),
    ] = None,
    data_seed: DataSeed = 0,
) -> None:
    """Read all pictures or scans in a folder, and report what it contains and every problem.

    Also reports what tells present from absent images apart from the target, since a translator
    would learn that instead. Writes only the sheet; the exit code is 1 if there is a problem.
    """
    from segtrans.config.refusals import nearest
    from segtrans.errors import UserError, UserErrors
    from segtrans.sources.own_folder.kind import kind_of_folder
    from segtrans.sources.own_kinds import KINDS

    given = _given(definition)
    kind = str(given.get("kind") or kind_of_folder(folder))
    if kind not in KINDS:
        raise UserError(f"--definition: kind = {kind}: {nearest(kind, KINDS)}")
    found = KINDS[kind].inspect(folder, given, data_seed)
    task = found.task
    print(f"{folder}: channels {', '.join(task.channels)}; classes {', '.join(task.classes)}")
    for line in found.lines:
        print(line)
    if sheet is not None and (shown := found.shown()):
        from segtrans.figures.contact_sheet import contact_sheet

        contact_sheet(shown, sheet)
    if found.faults:
        n = len(found.faults)
        raise UserErrors([*found.faults, f"{folder}: {n} fault{'s' * (n > 1)}"])
    n = sum(line.startswith("WARNING") for line in found.lines)
    print("no fault was found" + (f"; {n} warning{'s' * (n > 1)} above" if n else ""))


@commands.command()
def image_folder(
    folder: OwnFolder,
    task: TaskName,
    output: Output,
    report: Report,
    definition: Definition = None,
    data_seed: DataSeed = 0,
    processes: Processes = None,
) -> None:
    """Make a data set from a folder of pictures, and report on it."""
    from segtrans.report.image_folder import write_report
    from segtrans.sources.image_folder.check import as_seen, few_pictures, warnings_of
    from segtrans.sources.image_folder.definition import complete_definition
    from segtrans.sources.image_folder.prepare import write_image_folder
    from segtrans.sources.image_folder.shortcuts import find_shortcuts
    from segtrans.sources.own_folder.shortcuts import describe

    complete = complete_definition(folder, _given(definition))
    pictures = write_image_folder(
        output, folder, complete, task, data_seed=data_seed, n_processes=processes
    )
    facts = [picture.facts for picture in pictures]
    said = [*as_seen(facts, complete), *few_pictures(pictures), *warnings_of(facts, complete)]
    said += describe(find_shortcuts(facts))
    _print_notes(said)
    write_report([picture.row() for picture in pictures], said, output, report)


@commands.command()
def scan_folder(
    folder: OwnFolder,
    task: TaskName,
    output: Output,
    report: Report,
    definition: Definition = None,
    data_seed: DataSeed = 0,
    processes: Processes = None,
) -> None:
    """Make a data set from a folder of scans, and report on it."""
    from segtrans.report.scan_folder import write_report
    from segtrans.sources.own_folder.shortcuts import describe
    from segtrans.sources.scan_folder.check import (
        LEAST,
        few_scans,
        find_shortcuts,
        odd_masks,
        truth_of_unlabelled,
    )
    from segtrans.sources.scan_folder.definition import complete_definition
    from segtrans.sources.scan_folder.prepare import write_scan_folder

    complete = complete_definition(folder, _given(definition))
    cases, used = write_scan_folder(
        output, folder, complete, task, data_seed=data_seed, n_processes=processes
    )
    facts = [case.facts for case in cases]
    truth = truth_of_unlabelled(facts, used)
    said = [*([truth] if truth else []), *few_scans(cases), *odd_masks(facts)]
    said += describe(find_shortcuts(facts, used), least=LEAST)
    _print_notes(said)
    write_report([case.row() for case in cases], said, output, report)


@commands.command()
def fit(
    folder: OwnFolder,
    output: Annotated[
        Path,
        typer.Option(help="Folder of the run, with all its results.", callback=folder_to_write),
    ],
    methods: Annotated[
        str, typer.Option(help="Methods to train, separated by commas.")
    ] = "segmentation_only,translation",
    iterations: Annotated[
        int | None,
        typer.Option(min=1, help="Length of each training.", show_default="as in params.yaml"),
    ] = None,
    cores: Annotated[
        int | None, typer.Option(min=1, help="CPU cores to use.", show_default="all")
    ] = None,
) -> None:
    """Check, split and prepare a folder of pictures or scans, train methods on it, and score them.

    Runs the project's workflow in a folder of its own. Run again, it makes only what is missing or
    out of date.
    """
    from segtrans.pipeline.fit import PRESET, run_folders, run_workflow, write_project
    from segtrans.processors import n_processors
    from segtrans.report.summary import print_summary

    write_project(output, folder, methods=methods.split(","), iterations=iterations)
    run_workflow(output, n_cores=cores or n_processors(), say=print)
    with chdir(output):  # where its tracking store is
        print_summary(Path.cwd() / "results" / PRESET)
    for run in run_folders(output):
        weights = shlex.quote(str(run))
        print(f"Masks:   segtrans predict --weights {weights} --input FOLDER --output MASKS")


def _print_notes(said: Iterable[str]) -> None:
    """Print what `segtrans fit` passes on, which reads what a job prints."""
    for line in said:
        if line.startswith(("networks see", "WARNING")):
            print(f"{NOTE}{line}")


def _given(definition: str | None) -> dict[str, Any]:
    from segtrans.config.refusals import parse_object

    return parse_object(definition, origin="--definition") if definition else {}
