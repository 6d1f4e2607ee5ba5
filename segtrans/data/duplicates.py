"""The same scan under two names, which would train on what it is tested on."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from segtrans.data.cases import CaseFiles
from segtrans.digests import file_sha256
from segtrans.errors import UserError

_SAMPLE_BYTES = 2**16

File = tuple[str, Path]  # of a case, by its id


def check_distinct(cases: Sequence[CaseFiles]) -> None:
    """Refuse cases that share the content of a sequence, byte for byte.

    Only files of one size are read, and as a whole only those that agree in their middle: scans
    that are not packed have one size all, but differ there.

    Raises:
        UserError: one line that names both files, or a file cannot be read.
    """
    files = [(case.case_id, path) for case in cases for path in set(case.sequences.values())]
    for step in (_size, _middle, file_sha256):
        files = [file for group in _alike(files, step) for file in group]
    for group in _alike(files, file_sha256):
        (first, path), (second, other) = sorted({case: (case, p) for case, p in group}.values())[:2]
        raise UserError(
            f"{path} and {other}: the same scan under two ids, {first} and {second} (equal "
            "SHA-256); keep one of the two cases, or mend the file that was copied by mistake"
        )


def _alike(files: Iterable[File], of: Callable[[Path], object]) -> list[list[File]]:
    """Groups of files of more than one case that have something in common."""
    groups: dict[object, list[File]] = {}
    for case_id, path in files:
        try:
            key = of(path)
        except OSError as error:
            raise UserError(
                f"{path}: cannot be read ({error.strerror}); mend it or take its case out"
            ) from error
        groups.setdefault(key, []).append((case_id, path))
    return [group for group in groups.values() if len({case_id for case_id, _ in group}) > 1]


def _size(path: Path) -> object:
    return path.stat().st_size


def _middle(path: Path) -> object:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, (size - _SAMPLE_BYTES) // 2))
        return size, hashlib.sha256(file.read(_SAMPLE_BYTES)).digest()
