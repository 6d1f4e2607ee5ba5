"""Checkpoints: tensors and plain types, written whole and sealed, the previous one kept."""

import hashlib
import itertools
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch

from segtrans.atomic import atomic_path
from segtrans.errors import UserError
from segtrans.methods.frames import Frame
from segtrans.train.history import Record

FORMAT = 3

# Every checkpoint ends so, and with the SHA-256 of all that stands before, in hexadecimal. What
# reads ZIP files, as torch does, passes over it.
_SEAL = b"\nsha256 "
_SEAL_BYTES = len(_SEAL) + 64
_BLOCK = 2**20


@dataclass
class Checkpoint:
    """Everything that a resumed run needs to end as if it had never stopped.

    Attributes:
        identity: of the run configuration.
        data_sha256: of the data file.
        iteration: iterations done.
        method: the method's state_dict.
        optimisers: each optimiser's state_dict by name.
        average: the averaged weights by name; empty without averaging.
        sums: state of the sums of terms since the last validation.
        records: the history so far, one record per validation.
        best_iteration: of the best validation so far.
        best_dice: its soft pooled Dice.
        best_method: the method's state_dict at that validation.
        seconds: training time so far.
        sessions: commit, versions, device and usage of each process that trained, and from where.
        mlflow_run_id: the run that a resumed training continues.
        frames: what the method made of the same few images, at some of the validations.
    """

    identity: str
    data_sha256: str
    iteration: int
    method: dict[str, Any]
    optimisers: dict[str, Any]
    average: dict[str, Any]
    sums: dict[str, Any]
    records: list[Record]
    best_iteration: int
    best_dice: float
    best_method: dict[str, Any]
    seconds: float
    sessions: list[dict[str, Any]]
    mlflow_run_id: str | None
    frames: list[Frame] = field(default_factory=list)  # an older checkpoint has none
    format: int = field(default=FORMAT)


class CheckpointFolder:
    """Two files, the newest and the one before it, of one run configuration on one data set.

    Args:
        root: outside every declared output. Each run configuration and data set has a folder of its
            own in it, so that parameters tried in between destroy nothing.
        identity: of the run configuration.
        data_sha256: of the data file.
    """

    def __init__(self, root: Path, *, identity: str, data_sha256: str) -> None:
        self.root = root
        self.folder = root / f"{identity}-{data_sha256[:16]}"
        self.newest = self.folder / "checkpoint.pt"
        self.previous = self.folder / "checkpoint.previous.pt"

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint; a kill at any moment leaves a whole one behind.

        Raises:
            UserError: the disk is full or read-only; the files before stay whole.
        """
        try:
            with atomic_path(self.newest) as temporary:
                torch.save(vars(checkpoint), temporary)
                with temporary.open("rb+") as file:
                    file.write(_seal(file))
                if self.newest.exists():
                    self.newest.replace(self.previous)
        except (OSError, RuntimeError) as error:  # torch hides the system's error in the latter
            raise UserError(
                f"{self.newest}: cannot be written ({_reason(error)}); the checkpoint before is "
                "kept; free space there and run again, which continues"
            ) from error

    def load(self) -> Checkpoint | None:
        """The newest whole checkpoint, or None.

        One that is damaged is set aside, never deleted, and it is said what is used instead.

        Raises:
            UserError: a checkpoint cannot be read although nothing proves it damaged: too little
                memory, a failing disk, another version's.
        """
        is_damaged = False
        for path in (self.newest, self.previous):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            except OSError as error:
                raise unreadable(path, error) from error
            with file:
                checkpoint = _read(path, file)
            if checkpoint is None:
                is_damaged = True
                set_aside(path, "its content does not have the SHA-256 that stands at its end")
                continue
            if is_damaged:
                _say(f"{path}: used instead, of iteration {checkpoint.iteration}")
            return checkpoint
        if is_damaged:
            _say(f"{self.folder}: no whole checkpoint is left; training starts anew")
        return None

    def say_others(self) -> None:
        """On stderr, when there is no checkpoint of this run on this data, but of others."""
        files = {*self.root.glob("*/checkpoint*.pt"), *self.root.glob("checkpoint*.pt")}
        folders = {file.parent for file in files}
        if folders and self.folder not in folders:
            _say(
                f"{self.root}: its checkpoints are of other parameters or data; they are kept, and "
                "used again when those come back; training starts anew"
            )


def set_aside(path: Path, reason: str) -> None:
    """Give a damaged checkpoint a name under which nothing looks for it, and say so."""
    names = (path.with_name(f"{path.stem}.damaged-{n}{path.suffix}") for n in itertools.count(1))
    place = next(name for name in names if not name.exists())
    path.rename(place)
    _say(f"{path}: damaged checkpoint ({reason}); set aside as {place.name}")


def _read(path: Path, file: BinaryIO) -> Checkpoint | None:
    """A checkpoint from its open file; None when it is damaged."""
    try:
        if not _is_whole(file):
            return None
        file.seek(0)
        content = torch.load(file, map_location="cpu", weights_only=True)
        if content["format"] != FORMAT:
            raise UserError(
                f"{path}: of format {content['format']}, this version of segtrans reads {FORMAT}; "
                "go on with the version that wrote it, or move the file away to start anew"
            )
        return Checkpoint(**content)
    except UserError:
        raise
    except Exception as error:  # the file is whole, so the fault lies elsewhere
        raise unreadable(path, error) from error


def _is_whole(file: BinaryIO) -> bool:
    n_content = file.seek(0, 2) - _SEAL_BYTES
    if n_content < 0:
        return False
    file.seek(n_content)
    found = file.read()
    return found == _seal(file, n_content)


def _seal(file: BinaryIO, n_content: int | None = None) -> bytes:
    """The seal of the first bytes of a file, of all by default."""
    digest = hashlib.sha256()
    left = file.seek(0, 2) if n_content is None else n_content
    file.seek(0)
    while left and (block := file.read(min(left, _BLOCK))):
        digest.update(block)
        left -= len(block)
    return _SEAL + digest.hexdigest().encode()


def unreadable(path: Path, error: Exception) -> UserError:
    """What is said of a checkpoint that something else than damage keeps from being read."""
    return UserError(
        f"{path}: cannot be read ({_reason(error)}), and nothing proves it damaged; it is kept: "
        "mend that and run again, which continues, or move the file away to start anew"
    )


def _reason(error: Exception) -> str:
    return str(error).split("\n")[0] or type(error).__name__


def _say(line: str) -> None:
    print(line, file=sys.stderr)
