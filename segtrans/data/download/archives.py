"""Unpacking of archives that came from elsewhere: plain files in one folder, whole or not at all.

The rules are stricter than those of tarfile's "data" filter (PEP 706): nothing is put right, an
archive with one bad member is refused as a whole.
"""

import os
import shutil
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import IO, cast

from tqdm import tqdm

from segtrans.atomic import atomic_path, remove_leftovers, sync
from segtrans.data.download.fetch import check_space
from segtrans.errors import UserError

_BLOCK = 2**20  # bytes
_END = bytes(tarfile.BLOCKSIZE)  # a header of zeros closes an archive
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
}
# What tarfile raises, beside its own errors, at headers that make no sense.
_DAMAGED = (tarfile.TarError, ValueError, OverflowError, MemoryError, RecursionError)


def extract(
    archive: Path, folder: Path, *, root: str, is_wanted: Callable[[PurePosixPath], bool]
) -> None:
    """Unpack what is wanted of an uncompressed tar archive; `folder` appears whole or not at all.

    Every member is checked before the first is written. Owners, modes and times are not kept.
    One process at a time may unpack to `folder`.

    Args:
        archive: the file.
        folder: where to; absent, or empty.
        root: the archive's top folder, whose content becomes that of `folder`.
        is_wanted: says of a file, by its path below `root`, whether it is unpacked.

    Raises:
        UserError: `folder` holds something; the archive is truncated, damaged or compressed,
            holds nothing that is wanted, or has a member that is anything but a plain file or
            folder inside of its folder; the disk has too little space or cannot be written.
    """
    remove_leftovers(folder)
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"{folder}: holds something already; move it away, or name another")
        # ":" admits no compression: sizes are bounded by the archive's own, so no bomb fits in.
        with archive.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            files = _wanted_files(tar, archive, root, is_wanted)
            n_bytes = sum(member.size for member in files.values())
            check_space(folder, n_bytes, what=f"unpacking {archive.name}")
            with atomic_path(folder) as temporary:
                _write_files(tar, files, temporary)
    except _DAMAGED as error:
        raise UserError(
            f"{archive}: no uncompressed tar archive, or truncated or damaged "
            f"({' '.join(str(error).split()):.100}); nothing was unpacked; remove it and run again"
        ) from error
    except OSError as error:
        raise UserError(
            f"{archive}: cannot be unpacked into {folder} ({error.filename or 'the disk'}: "
            f"{error.strerror}); nothing was left half-written; mend that and run again"
        ) from error


def _wanted_files(
    tar: tarfile.TarFile,
    archive: Path,
    root: str,
    is_wanted: Callable[[PurePosixPath], bool],
) -> dict[PurePosixPath, tarfile.TarInfo]:
    """Read all headers and check them; returns the wanted files by their paths below `root`."""
    n_archive, n_members = archive.stat().st_size, 0
    files: dict[PurePosixPath, tarfile.TarInfo] = {}
    for member in tar:
        n_members += member.size
        path = PurePosixPath(member.name)
        is_ours = not member.isdir() and path.parts[:1] == (root,) and path != PurePosixPath(root)
        inner = path.relative_to(root) if is_ours else None
        problem = _problem(member, n_archive=n_archive, n_members=n_members)
        if inner in files:
            problem = "is there twice"
        if problem:
            raise UserError(
                f"{archive}: {member.name!r} in it {problem}; nothing was unpacked; remove the "
                "archive, and get it from a source you trust"
            )
        if inner is not None and is_wanted(inner):
            files[inner] = member
    _check_end(tar, archive)
    if not files:
        raise UserError(
            f"{archive}: holds nothing that is wanted below {root}; remove it and run again"
        )
    return files


def _problem(member: tarfile.TarInfo, *, n_archive: int, n_members: int) -> str | None:
    """Why a member is refused, if it is.

    Args:
        member: a header.
        n_archive: bytes of the archive.
        n_members: bytes of all members up to this one, as they say themselves.
    """
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        return "has a path that leaves its folder"
    if member.type not in _PLAIN:
        return f"is {_KINDS.get(member.type, 'of an unknown kind')}, not a plain file"
    if member.issparse():
        return "is a sparse file, whose holes could fill the disk"
    # Headers may claim any size: members that overlap would multiply the archive's own, and one
    # before its own start would be read for ever.
    if member.size < 0 or n_members > n_archive:
        return "claims more bytes than the archive has, which may be truncated"
    return None


def _check_end(tar: tarfile.TarFile, archive: Path) -> None:
    """Tell the archive's end from a cut between two members, which tarfile takes for the end."""
    file = cast(IO[bytes], tar.fileobj)  # open: it is being read
    file.seek(tar.offset)
    if file.read(len(_END)) != _END:
        raise UserError(
            f"{archive}: truncated or damaged at byte {tar.offset}; nothing was unpacked; remove "
            "it and run again"
        )


def _write_files(
    tar: tarfile.TarFile, files: dict[PurePosixPath, tarfile.TarInfo], folder: Path
) -> None:
    """Write and sync every file and folder: the rename must not outlive a power cut alone."""
    folders = _folders_of(files)
    for inner in folders:
        (folder / inner).mkdir()
    name = f"unpack {Path(str(tar.name)).name}"
    for path, member in tqdm(files.items(), unit="file", desc=name, disable=None):
        # A regular file always has a content.
        source = cast(IO[bytes], tar.extractfile(member))
        with source, (folder / path).open("xb") as target:
            shutil.copyfileobj(source, target, _BLOCK)
            target.flush()
            os.fsync(target.fileno())
    for inner in folders:
        sync(folder / inner)


def _folders_of(paths: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """All folders above the paths, outer ones first; "." is the outermost."""
    return sorted({above for path in paths for above in path.parents})
