"""Tell DICOM from NIfTI: a scanner's own files are what newcomers have at hand."""

from collections.abc import Iterable
from pathlib import Path

_MAGIC_AT, _MAGIC = 128, b"DICM"
CONVERT = (
    "is DICOM; expected NIfTI: convert each series with `dcm2niix -z y -o OUT FOLDER`, register "
    "the sequences to each other, extract the brain, and name the files as docs/brats.md says"
)


def is_dicom(content: bytes) -> bool:
    """Whether a file's bytes (132 at least) are DICOM's."""
    return content[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] == _MAGIC


def find_dicom(paths: Iterable[Path]) -> Path | None:
    """The first file that is DICOM, whatever its name."""
    for path in paths:
        try:
            with path.open("rb") as file:
                if is_dicom(file.read(_MAGIC_AT + len(_MAGIC))):
                    return path
        except OSError:  # what cannot be read says nothing here
            continue
    return None
