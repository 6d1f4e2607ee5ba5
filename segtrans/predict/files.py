"""The files of a prediction: all or none, and never over what somebody else wrote or changed.

Beside them lies a list of the SHA-256 of each, and of the scans that they were made from.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from segtrans.atomic import remove_leftovers, temporary_path, write_json
from segtrans.config.refusals import validate
from segtrans.digests import file_sha256
from segtrans.errors import UserError
from segtrans.places import check_folder
from segtrans.sources.scans.cases import CaseFiles

_ANOTHER = "give another folder, or move the file away"


class _List(BaseModel):
    """SHA-256 of the files of a prediction by name, and of the scans that they were made from."""

    model_config = ConfigDict(strict=True)
    files: dict[Annotated[str, Field(pattern=r"^[^/\\]+$")], str]
    scans: list[str]


def check_output(output: Path, files: CaseFiles, names: Sequence[str]) -> None:
    """Refuse an output before anything is computed.

    Raises:
        UserError: it is the folder of the case's own files, whose names predictions would take, or
            no folder that can be written to, or holds a file of one of the names that `segtrans
            predict` did not write, that was changed since, or that is of another scan with the same
            id; or its list of what was written is damaged.
    """
    inputs = {*files.sequences.values()} | ({files.mask} if files.mask else set())
    if output.resolve() in {path.resolve().parent for path in inputs} | {
        path.parent.resolve() for path in inputs
    }:
        raise UserError(
            f"{output}: holds the files of case {files.case_id} itself, whose mask is named as a "
            "prediction is; expected another folder for the output"
        )
    check_folder(output)
    listed = output / list_name(files.case_id)
    if listed.exists() and not listed.is_file():
        raise UserError(f"{listed}: is no file, and a list of that name is written; {_ANOTHER}")
    written, scans = _listed(listed) if listed.exists() else ({}, [])
    if scans and scans != _hashes(files.sequences.values()):
        raise UserError(
            f"{output}: holds the prediction of another scan with the id {files.case_id}; give "
            "another folder"
        )
    for name in dict.fromkeys([*names, *written]):
        path = output / name
        if not (path.exists() or path.is_symlink()):
            continue
        if name not in written:
            by = "does not list it" if listed.exists() else "is missing"
            raise UserError(
                f"{path}: is there already, and nothing says that `segtrans predict` wrote it: "
                f"{listed} {by}; {_ANOTHER}"
            )
        if path.is_symlink() or not path.is_file() or file_sha256(path) != written[name]:
            raise UserError(f"{path}: was changed since `segtrans predict` wrote it; {_ANOTHER}")


@contextmanager
def all_or_none(output: Path, files: CaseFiles, names: Sequence[str]) -> Iterator[Path]:
    """Give a temporary folder in `output`; its files move there when the block ends well.

    Files of these names, and listed ones, that are not written again are another run's, and are
    removed.

    Raises:
        UserError: the disk is full or refuses; nothing is left then.
    """
    made = [path for path in (output, *output.absolute().parents) if not path.exists()]
    temporary = temporary_path(output / files.case_id, os.getpid())
    is_ours, is_done = False, False
    try:
        output.mkdir(parents=True, exist_ok=True)
        remove_leftovers(output / files.case_id)
        temporary.mkdir()
        is_ours = True
        yield temporary
        content = {
            "files": {path.name: file_sha256(path) for path in sorted(temporary.iterdir())},
            "scans": _hashes(files.sequences.values()),
        }
        listed = output / list_name(files.case_id)
        before = _listed(listed)[0] if listed.exists() else {}
        write_json(temporary / listed.name, content)
        for name in {*names, *before}:
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
        if is_ours:
            shutil.rmtree(temporary, ignore_errors=True)
        if not is_done:
            _remove_empty(made)


def list_name(case_id: str) -> str:
    """The name of the list of a case's prediction."""
    return f"{case_id}_prediction.json"


def _listed(file: Path) -> tuple[dict[str, str], list[str]]:
    """Files and scans of a list.

    Raises:
        UserError: it cannot be read or is no such list.
    """
    try:
        content = validate(_List, json.loads(file.read_text(encoding="utf-8")), origin=str(file))
    except (OSError, ValueError, RecursionError, UserError) as error:
        reason = " ".join(str(error).removeprefix(f"{file}: ").split())
        raise UserError(
            f"{file}: damaged ({reason:.200}), so it is not known which files beside it `segtrans "
            "predict` wrote; give another folder, or move it away with these files"
        ) from error
    return content.files, content.scans


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:  # the innermost first
        try:
            folder.rmdir()
        except OSError:  # somebody else's file is in it, or it was never made
            return


def _hashes(paths: Iterable[Path]) -> list[str]:
    return [file_sha256(path) for path in paths]
