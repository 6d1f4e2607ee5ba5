"""The files of a prediction: all of them or none, and never over what somebody else wrote."""

import gzip
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from segtrans.atomic import remove_leftovers
from segtrans.data.cases import CaseFiles
from segtrans.data.geometry import WRITTEN_BY
from segtrans.errors import UserError

_INTENT_NAME = slice(328, 344)  # of a NIfTI-1 header
_INTENT_NAME_2 = slice(508, 524)  # of a NIfTI-2 header


def check_output(output: Path, files: CaseFiles, names: Sequence[str]) -> None:
    """Refuse an output before anything is computed.

    Raises:
        UserError: it is the folder of the case's own files, whose names predictions would take, or
            no folder, or holds a file of one of the names that `segtrans predict` did not write.
    """
    inputs = {*files.sequences.values()} | ({files.mask} if files.mask else set())
    if output.resolve() in {path.resolve().parent for path in inputs} | {
        path.parent.resolve() for path in inputs
    }:
        raise UserError(
            f"{output}: holds the files of case {files.case_id} itself, whose mask is named as a "
            "prediction is; expected another folder for the output"
        )
    place = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not place.is_dir():
        raise UserError(f"{place}: is a file; expected a folder to write to")
    for name in names:
        path = output / name
        if (path.exists() or path.is_symlink()) and not _is_ours(path, output / names[0]):
            raise UserError(
                f"{path}: is there already and was not written by `segtrans predict`; give another "
                "folder, or move the file away"
            )


@contextmanager
def all_or_none(output: Path, case_id: str, names: Sequence[str]) -> Iterator[Path]:
    """Give a temporary folder in `output`; its files move there when the block ends well.

    Files of these names that are not written again are another run's, and are removed.

    Raises:
        UserError: the disk is full or refuses; nothing is left then.
    """
    made = [path for path in (output, *output.absolute().parents) if not path.exists()]
    temporary = output / f".{os.getpid()}.partial.{case_id}"
    is_done = False
    try:
        output.mkdir(parents=True, exist_ok=True)
        remove_leftovers(output / case_id)
        temporary.mkdir()
        yield temporary
        for name in names:
            if not (temporary / name).exists():
                (output / name).unlink(missing_ok=True)
        for path in sorted(temporary.iterdir()):
            path.replace(output / path.name)
        is_done = True
    except OSError as error:
        raise UserError(
            f"{error.filename or output}: cannot be written ({error.strerror or error}); nothing "
            f"was left in {output}; make room, or give another folder"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if not is_done:
            _remove_empty(made)


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:  # the innermost first
        try:
            folder.rmdir()
        except OSError:  # somebody else's file is in it, or it was never made
            return


def _is_ours(path: Path, segmentation: Path) -> bool:
    """Whether a file was written by this command: volumes say so in their header.

    A picture says nothing; it is ours where the segmentation beside it is.
    """
    if path.suffix == ".png":
        return path.is_file() and not path.is_symlink() and _is_ours(segmentation, segmentation)
    if path.is_symlink() or not path.is_file():
        return False
    try:
        with gzip.open(path) as file:
            header = file.read(_INTENT_NAME_2.stop)
    except (OSError, EOFError, zlib.error):
        return False
    return any(
        header[place].rstrip(b"\0") == WRITTEN_BY for place in (_INTENT_NAME, _INTENT_NAME_2)
    )
