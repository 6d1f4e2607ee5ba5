"""The Decathlon's brain tumours from real servers on loopback, honest, broken and hostile."""

import hashlib
import json
import tarfile
from types import SimpleNamespace

import pytest

from segtrans.data.download.fetch import RemoteFile
from segtrans.errors import UserError
from segtrans.sources.brats.msd import MSD_ARCHIVE, MSD_MIRRORS, fetch_msd

CASES = ("BRATS_001", "BRATS_002")
PAIRS = [{part: f"./{part}sTr/{case}.nii.gz" for part in ("image", "label")} for case in CASES]
LISTED = json.dumps({"name": "BRATS", "training": PAIRS, "test": ["./imagesTs/BRATS_485.nii.gz"]})
WHOLE = {"dataset.json": LISTED.encode()} | {
    pair[part][2:]: f"{part} {pair[part]} ".encode() * 3000 for pair in PAIRS for part in pair
}
ARCHIVE = "Task01_BrainTumour.tar"
# As macOS packs it: with hidden companions of files and folders.
MEMBERS = [
    ("._Task01_BrainTumour", b"hidden"),
    ("Task01_BrainTumour", {"type": tarfile.DIRTYPE}),
    *((f"Task01_BrainTumour/{name}", content) for name, content in WHOLE.items()),
    ("Task01_BrainTumour/._dataset.json", b"hidden"),
    ("Task01_BrainTumour/imagesTr/._BRATS_001.nii.gz", b"hidden"),
    ("Task01_BrainTumour/imagesTs/BRATS_485.nii.gz", b"unlabelled"),
    ("Task01_BrainTumour/imagesTs/README.md", b"of the unlabelled"),
]


def get(folder, content, *servers, waits):
    """Fetch from these servers; `content` is the archive whose hash is expected."""
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return fetch_msd(
        folder / "cases",
        downloads=folder / "downloads",
        mirrors=tuple(server.url for server in servers),
        archive=RemoteFile(ARCHIVE, len(content), "md5", digest),
        sleep=waits.append,
    )


def files_below(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_facts_of_the_archive():
    assert MSD_ARCHIVE.name == ARCHIVE
    assert MSD_ARCHIVE.n_bytes == 7_608_266_240
    assert (MSD_ARCHIVE.algorithm, MSD_ARCHIVE.digest[:8]) == ("md5", "240a19d7")
    assert len(MSD_ARCHIVE.digest) == 32
    assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in MSD_MIRRORS)


def test_labelled_cases_are_unpacked_and_a_second_run_asks_nobody(
    tmp_path, serve, waits, pack, monkeypatch
):
    content = pack(MEMBERS)
    server = serve({ARCHIVE: content})
    assert get(tmp_path, content, server, waits=waits) == tmp_path / "cases"
    assert files_below(tmp_path / "cases") == WHOLE
    assert names(tmp_path) == ["cases", "downloads"]
    assert names(tmp_path / "downloads") == [ARCHIVE]

    monkeypatch.setattr("hashlib.new", None)  # nor is anything hashed
    get(tmp_path, content, server, waits=waits)
    (tmp_path / "downloads" / ARCHIVE).unlink()
    get(tmp_path, content, server, waits=waits)
    assert len(server.ranges) == 1
    assert files_below(tmp_path / "cases") == WHOLE


@pytest.mark.parametrize("name", ["LICENSE", "licence.txt", "README.md", "Readme"])
def test_a_licence_comes_with_the_cases(tmp_path, serve, waits, pack, name):
    content = pack([*MEMBERS, (f"Task01_BrainTumour/{name}", b"CC BY-SA 4.0")])
    get(tmp_path, content, serve({ARCHIVE: content}), waits=waits)
    assert files_below(tmp_path / "cases") == WHOLE | {name: b"CC BY-SA 4.0"}


def test_an_archive_put_there_by_hand_is_checked_and_used(tmp_path, waits, pack):
    content = pack(MEMBERS)
    (tmp_path / "cases").mkdir()  # an empty folder is none
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / ARCHIVE).write_bytes(content)
    get(tmp_path, content, waits=waits)
    assert files_below(tmp_path / "cases") == WHOLE


def test_a_chain_of_bad_servers_ends_in_whole_cases(tmp_path, serve, waits, pack):
    content = pack(MEMBERS)
    half = len(content) // 2 // 2**16 * 2**16
    absent, wrong = serve({}), serve({ARCHIVE: content[::-1]})
    broken = serve({ARCHIVE: content}, breaks_after=[half, 0, 0], status=[503])
    last = serve({ARCHIVE: content}, ignores_range=True)
    get(tmp_path, content, absent, wrong, broken, last, waits=waits)
    assert files_below(tmp_path / "cases") == WHOLE
    assert (len(absent.ranges), len(wrong.ranges)) == (1, 1)
    assert broken.ranges == [None, None, f"bytes={half}-", f"bytes={half}-"]
    assert last.ranges == [f"bytes={half}-"]


def test_what_a_broken_connection_brought_is_kept_for_the_next_run(tmp_path, serve, waits, pack):
    content = pack(MEMBERS)
    server = serve({ARCHIVE: content}, breaks_after=[2**16, 0, 0])
    with pytest.raises(UserError, match="it resumes"):
        get(tmp_path, content, server, waits=waits)
    assert names(tmp_path) == ["downloads"]
    get(tmp_path, content, server, waits=waits)
    assert server.ranges[-1] == f"bytes={2**16}-"
    assert files_below(tmp_path / "cases") == WHOLE


def test_when_no_mirror_is_right_there_are_no_cases(tmp_path, serve, waits, pack):
    content = pack(MEMBERS)
    absent, busy = serve({}), serve({}, status=[503] * 3)
    wrong = serve({ARCHIVE: content.replace(b"label", b"lable")})
    with pytest.raises(UserError) as refusal:
        get(tmp_path, content, absent, busy, wrong, waits=waits)
    for part in ("HTTP 404", "HTTP 503", "wrong bytes (the md5 differs)"):
        assert part in str(refusal.value)
    assert names(tmp_path) == ["downloads"]
    assert names(tmp_path / "downloads") == []


TOP = "Task01_BrainTumour"
LINK = {"type": tarfile.SYMTYPE, "linkname": ".."}


@pytest.mark.parametrize(
    ("hostile", "why"),
    [
        ([(f"{TOP}/imagesTr/../../../x", b"x")], "leaves its folder"),
        ([("/x", b"x")], "leaves its folder"),
        ([(f"{TOP}/x", LINK)], "a symbolic link"),
        ([(f"{TOP}/x", {"type": tarfile.LNKTYPE, "linkname": f"{TOP}/y"})], "a hard link"),
        ([(f"{TOP}/x", {"type": tarfile.BLKTYPE, "devmajor": 8})], "a device"),
        ([(f"{TOP}/x", {"type": tarfile.FIFOTYPE})], "a named pipe"),
        ([(f"{TOP}/imagesTs/x", LINK), (f"{TOP}/imagesTs/x/y", b"y")], "a symbolic link"),
    ],
    ids=["above", "absolute", "symbolic", "hard", "device", "pipe", "through"],
)
def test_a_hostile_archive_with_the_right_hash_is_refused(
    tmp_path, serve, waits, pack, hostile, why
):
    content = pack([*MEMBERS, *hostile])
    with pytest.raises(UserError) as refusal:
        get(tmp_path, content, serve({ARCHIVE: content}), waits=waits)
    message = str(refusal.value)
    assert message.startswith(f"{tmp_path / 'downloads' / ARCHIVE}: {hostile[0][0]!r} in it ")
    assert why in message
    assert files_below(tmp_path) == {f"downloads/{ARCHIVE}": content}


def test_an_unpacking_that_breaks_off_is_taken_up_without_a_download(
    tmp_path, serve, waits, pack, monkeypatch
):
    content = pack(MEMBERS)
    server = serve({ARCHIVE: content})
    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfileobj", None)
        with pytest.raises(TypeError):
            get(tmp_path, content, server, waits=waits)
    assert names(tmp_path) == ["downloads"]
    get(tmp_path, content, server, waits=waits)
    assert len(server.ranges) == 1
    assert files_below(tmp_path / "cases") == WHOLE


def test_a_disk_too_small_is_told_before_any_request(tmp_path, waits, pack, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**6))
    with pytest.raises(UserError, match=f"{ARCHIVE} needs .* GB of disk, 0.00 GB are free"):
        get(tmp_path, pack(MEMBERS), waits=waits)


def test_a_folder_that_lacks_listed_files_is_not_taken_for_whole(tmp_path, serve, waits, pack):
    content = pack(MEMBERS)
    server = serve({ARCHIVE: content})
    get(tmp_path, content, server, waits=waits)
    (tmp_path / "cases" / "labelsTr" / "BRATS_002.nii.gz").unlink()
    with pytest.raises(UserError, match=r"lacks 1 of the 4 files .*labelsTr/BRATS_002\.nii\.gz"):
        get(tmp_path, content, server, waits=waits)


@pytest.mark.parametrize("listed", [None, "", "[]", "{}", '{"training": [1]}', '{"training": 1}'])
def test_a_folder_without_a_list_is_not_taken_for_whole(tmp_path, waits, pack, listed):
    (tmp_path / "cases" / "imagesTr").mkdir(parents=True)
    if listed is not None:
        (tmp_path / "cases" / "dataset.json").write_text(listed)
    before = files_below(tmp_path)
    with pytest.raises(UserError, match=r"cases: its dataset\.json is missing or lists no"):
        get(tmp_path, pack(MEMBERS), waits=waits)
    assert files_below(tmp_path) == before
