"""Archives from elsewhere: unpacked whole or not at all, and never outside of their folder."""

import gzip
import io
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segtrans.data.download import archives
from segtrans.data.download.archives import extract
from segtrans.errors import UserError

MEMBERS = [
    ("top", {"type": tarfile.DIRTYPE}),
    ("top/list.json", b"{}"),
    ("top/images/a.nii", b"a" * 1000),
    ("./top/images/deep/b.nii", b"b" * 512),
    ("top/empty", b""),
    ("top/other/c.nii", b"c"),
    ("beside/list.json", b"no"),
    ("top/" + "long/" * 30 + "name", b"long"),
]
WANTED = {
    "list.json": b"{}",
    "images/a.nii": b"a" * 1000,
    "images/deep/b.nii": b"b" * 512,
    "empty": b"",
    "long/" * 30 + "name": b"long",
}


def unpack(content, folder):
    """Write an archive beside `folder` and unpack all but top/other."""
    archive = folder.with_name("it.tar")
    archive.write_bytes(content)
    extract(archive, folder, root="top", is_wanted=lambda path: path.parts[0] != "other")


def files_below(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if not path.is_dir()
    }


def refusal_of(content, folder):
    """The one line that `content` is refused with; nothing may be left beside the archive."""
    with pytest.raises(UserError) as refusal:
        unpack(content, folder)
    assert [path.name for path in folder.parent.iterdir()] == ["it.tar"]
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize("is_there", [False, True])
def test_what_is_wanted_is_unpacked_and_nothing_else(tmp_path, pack, is_there):
    if is_there:
        (tmp_path / "out").mkdir()
    unpack(pack(MEMBERS), tmp_path / "out")
    assert files_below(tmp_path / "out") == WANTED
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it.tar", "out"]


def test_owner_mode_and_time_are_those_of_any_new_file(tmp_path, pack):
    facts = {"mode": 0o4777, "uid": 12345, "gid": 12345, "mtime": 0}
    unpack(pack([("top/a", facts), ("top/b", b"b")]), tmp_path / "out")
    own, got = (tmp_path / "it.tar").stat(), (tmp_path / "out" / "a").stat()
    assert (got.st_mode, got.st_uid, got.st_gid) == (own.st_mode, own.st_uid, own.st_gid)
    assert abs(got.st_mtime - own.st_mtime) < 60


def test_a_folder_that_holds_something_is_left_alone(tmp_path, pack):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(UserError, match="out: holds something already"):
        unpack(pack(MEMBERS), tmp_path / "out")
    assert files_below(tmp_path / "out") == {"mine": b"mine"}


@pytest.mark.parametrize("place", [0, 4, len(MEMBERS)])
@pytest.mark.parametrize(
    ("name", "facts", "why"),
    [
        ("../out.txt", b"x", "leaves its folder"),
        ("top/images/../../../x", b"x", "leaves its folder"),
        ("other/..", {"type": tarfile.DIRTYPE}, "leaves its folder"),
        ("/out.txt", b"x", "leaves its folder"),
        ("//top/x", b"x", "leaves its folder"),
        ("top/a", {"type": tarfile.SYMTYPE, "linkname": "images"}, "a symbolic link"),
        ("beside/a", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "a symbolic link"),
        ("top/a", {"type": tarfile.LNKTYPE, "linkname": "top/list.json"}, "a hard link"),
        ("top/a", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}, "a device"),
        ("top/a", {"type": tarfile.BLKTYPE, "devmajor": 8}, "a device"),
        ("top/a", {"type": tarfile.FIFOTYPE}, "a named pipe"),
        ("top/a", {"type": tarfile.CONTTYPE}, "of an unknown kind"),
        ("top/a", {"type": b"Z"}, "of an unknown kind"),
    ],
)
def test_one_bad_member_anywhere_refuses_the_archive(tmp_path, pack, place, name, facts, why):
    content = pack([*MEMBERS[:place], (name, facts), *MEMBERS[place:]])
    (tmp_path / "here").mkdir()
    message = refusal_of(content, tmp_path / "here" / "out")
    assert message.startswith(f"{tmp_path / 'here' / 'it.tar'}: {name!r} in it ")
    assert why in message
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_name_in_an_extended_header_is_looked_at_too(tmp_path, pack):
    hidden = {"pax_headers": {"path": "../out.txt"}}
    assert "'../out.txt' in it has a path" in refusal_of(
        pack([*MEMBERS, ("top/good", hidden)]), tmp_path / "out"
    )


def test_a_file_through_a_link_writes_nothing_elsewhere(tmp_path, pack):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").mkdir()
    link = {"type": tarfile.SYMTYPE, "linkname": str(tmp_path / "elsewhere")}
    content = pack([("top/images", link), ("top/images/a.nii", b"a")])
    assert "a symbolic link" in refusal_of(content, tmp_path / "here" / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("second", ["top/images/a.nii", "./top//images/a.nii"])
def test_a_file_that_is_there_twice_is_refused(tmp_path, pack, second):
    assert "is there twice" in refusal_of(pack([*MEMBERS, (second, b"x")]), tmp_path / "out")


def test_a_file_below_a_file_is_refused(tmp_path, pack):
    content = pack([("top/a", b"a"), ("top/a/b", b"b")])
    assert "it.tar: cannot be unpacked" in refusal_of(content, tmp_path / "out")


def test_a_sparse_file_is_refused(tmp_path, pack):
    holes = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(10**15)}
    content = pack([*MEMBERS, ("top/a", {"pax_headers": holes})])
    assert "'top/a' in it is a sparse file" in refusal_of(content, tmp_path / "out")


def test_members_that_claim_each_others_bytes_are_refused(tmp_path):
    """One global header gives every member a size that its own header does not have."""
    packed = io.BytesIO()
    claim = {"size": "15000"}
    with tarfile.open(fileobj=packed, mode="w", pax_headers=claim) as tar:
        for name in ("top/a", "top/b"):
            tar.addfile(tarfile.TarInfo(name))
    content = packed.getvalue().ljust(20_480, b"\0")  # each fits, both do not
    assert "in it claims more bytes" in refusal_of(content, tmp_path / "out")


def with_size(header, size):
    """A header of tar with this size field of 12 bytes, and the checksum of that."""
    blank = header[:124] + size + header[136:148] + b" " * 8 + header[156:512]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


HUGE, VAST = b"77777777777\0", b"\x80\0\0\0" + b"\x7f" * 8
NEGATIVE = (-512).to_bytes(12, "big", signed=True)


@pytest.mark.parametrize("size", [HUGE, VAST, NEGATIVE])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_an_impossible_size_is_refused(tmp_path, pack, size, kind):
    content = pack([("top/a", b""), ("top/b", {"type": kind}), ("top/c", b"c")])
    content = content[:512] + with_size(content[512:1024], size) + content[1024:]
    message = refusal_of(content, tmp_path / "out")
    assert message.startswith(f"{tmp_path / 'it.tar'}: ")
    assert "truncated" in message


def test_headers_without_end_are_refused(tmp_path, pack):
    content = pack([("top/a", {"type": tarfile.GNUTYPE_LONGNAME})])[:512] * 5000
    assert "damaged" in refusal_of(content, tmp_path / "out")


def test_a_cut_anywhere_is_truncated(tmp_path, pack):
    content = pack([("top/a", b"a" * 700), ("top/b", b"b" * 512)])
    assert content[2560:] == bytes(7680)  # two headers, 700 bytes in 1024, and 512: 2560
    for n_bytes in [*range(0, 2560, 64), 1, 511, 513, 2559]:
        assert "it.tar: " in (message := refusal_of(content[:n_bytes], tmp_path / "out"))
        assert "truncated" in message


@pytest.mark.parametrize("change", [gzip.compress, lambda _: b"<html>no archive</html>" * 100])
def test_only_a_plain_tar_whose_sizes_are_bounded_is_read(tmp_path, pack, change):
    assert "no uncompressed tar" in refusal_of(change(pack(MEMBERS)), tmp_path / "out")


def test_an_archive_without_what_is_wanted_is_refused(tmp_path, pack):
    content = pack([("top", {"type": tarfile.DIRTYPE}), ("top/other/c", b"c"), ("list.json", b"")])
    assert "holds nothing that is wanted below top" in refusal_of(content, tmp_path / "out")


def test_an_absent_archive_is_one_line(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        extract(tmp_path / "no.tar", tmp_path / "out", root="top", is_wanted=lambda _: True)


def test_a_disk_too_small_is_told_before_anything_is_written(tmp_path, pack, monkeypatch):
    needed = 2**26 + sum(len(content) for content in WANTED.values())
    free = SimpleNamespace(free=needed - 1)
    monkeypatch.setattr("shutil.disk_usage", lambda _: free)
    assert "unpacking it.tar needs 0.07 GB" in refusal_of(pack(MEMBERS), tmp_path / "out")
    free.free += 1
    unpack(pack(MEMBERS), tmp_path / "out")
    assert files_below(tmp_path / "out") == WANTED


def test_what_breaks_off_leaves_nothing(tmp_path, pack, monkeypatch):
    n_written = []

    def break_off(source, target, _):
        target.write(source.read())
        n_written.append(1)
        if len(n_written) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(archives.shutil, "copyfileobj", break_off)
        with pytest.raises(KeyboardInterrupt):
            unpack(pack(MEMBERS), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["it.tar"]
    unpack(pack(MEMBERS), tmp_path / "out")
    assert files_below(tmp_path / "out") == WANTED


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from segtrans.data.download import archives

def copy(source, target, _, written=[]):
    target.write(source.read())
    written.append(1)
    if len(written) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

shutil.copyfileobj = copy
archives.extract(Path(sys.argv[1]), Path(sys.argv[2]), root="top", is_wanted=lambda _: True)
"""


def test_a_killed_process_leaves_nothing_that_looks_whole(tmp_path, pack):
    (tmp_path / "it.tar").write_bytes(pack(MEMBERS))
    (tmp_path / ".7.partial.outer").mkdir()
    command = [sys.executable, "-c", KILLED, tmp_path / "it.tar", tmp_path / "out"]
    killed = subprocess.run(command, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    assert len(list(tmp_path.glob(".*.partial.out"))) == 1
    unpack(pack(MEMBERS), tmp_path / "out")  # and clears up
    assert files_below(tmp_path / "out") == WANTED
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".7.partial.outer", "it.tar", "out"]  # another folder's is not ours


def test_files_and_folders_are_synced_before_the_folder_appears(tmp_path, pack, monkeypatch):
    before, folder, fsync = set(), tmp_path / "out", archives.os.fsync

    def note(descriptor):
        fsync(descriptor)
        if not folder.exists():
            before.add(archives.os.fstat(descriptor).st_ino)

    monkeypatch.setattr(archives.os, "fsync", note)
    unpack(pack(MEMBERS), folder)
    assert before == {path.stat().st_ino for path in (folder, *folder.rglob("*"))}


@settings(max_examples=60)
@given(
    block=st.integers(0, 5),
    changes=st.dictionaries(st.integers(0, 511), st.integers(0, 255), max_size=4),
    kind=st.sampled_from(b"\x000123456789LKSDMNVXxgZ"),
)
def test_an_archive_of_nonsense_is_refused_or_stays_in_its_folder(pack, block, changes, kind):
    content = bytearray(pack([(name, b"7" * 512) for name in ("top/a", "top/b", "top/c")]))
    header = content[512 * block : 512 * block + 512]
    header[156] = kind
    for place, value in changes.items():
        header[place] = value
    content[512 * block : 512 * block + 512] = with_size(bytes(header), bytes(header[124:136]))
    with tempfile.TemporaryDirectory() as name:
        (here := Path(name) / "here").mkdir()
        try:
            unpack(bytes(content), here / "out")
        except UserError:
            assert [path.name for path in here.iterdir()] == ["it.tar"]
        assert [path.name for path in Path(name).iterdir()] == ["here"]
        assert not any(path.is_symlink() for path in here.rglob("*"))
