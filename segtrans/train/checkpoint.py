"""Checkpoints: tensors and plain types, written whole, the previous one kept."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from segtrans.atomic import atomic_path
from segtrans.errors import UserError

FORMAT = 2


@dataclass
class Checkpoint:
    """Everything that a resumed run needs to end as if it had never stopped.

    Attributes:
        identity: of the cell; a checkpoint of another cell is not used.
        data_sha256: of the data file; a checkpoint on other data is not used.
        iteration: iterations done.
        method: the method's state_dict.
        optimisers: each optimiser's state_dict by name.
        average: the averaged weights by name; empty without averaging.
        sums: state of the sums of terms since the last validation.
        best_iteration: of the best validation so far.
        best_dice: its soft pooled Dice.
        best_method: the method's state_dict at that validation.
        seconds: training time so far.
        sessions: commit, versions, device and usage of each process that trained, and from where.
        mlflow_run_id: the run that a resumed training continues.
    """

    identity: str
    data_sha256: str
    iteration: int
    method: dict[str, Any]
    optimisers: dict[str, Any]
    average: dict[str, Any]
    sums: dict[str, Any]
    best_iteration: int
    best_dice: float
    best_method: dict[str, Any]
    seconds: float
    sessions: list[dict[str, Any]]
    mlflow_run_id: str | None
    format: int = field(default=FORMAT)


class CheckpointFolder:
    """Two files, the newest and the one before it, in a folder outside every declared output."""

    def __init__(self, folder: Path) -> None:
        self.newest = folder / "checkpoint.pt"
        self.previous = folder / "checkpoint.previous.pt"

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint; a kill at any moment leaves a whole one behind.

        Raises:
            UserError: the disk is full or read-only; the files before stay whole.
        """
        try:
            with atomic_path(self.newest) as temporary:
                torch.save(vars(checkpoint), temporary)
                if self.newest.exists():
                    self.newest.replace(self.previous)
        except (OSError, RuntimeError) as error:  # torch hides the system's error in the latter
            reason = str(error).split("\n")[0]
            raise UserError(
                f"{self.newest}: cannot be written ({reason}); the checkpoint before is kept; free "
                "space there and run again, which continues"
            ) from error

    def load(self, *, identity: str, data_sha256: str) -> Checkpoint | None:
        """The newest usable checkpoint of this cell on this data, or None.

        What is passed over is said on stderr.
        """
        for path in (self.newest, self.previous):
            if not path.exists():
                continue
            try:
                content = torch.load(path, map_location="cpu", weights_only=True)
                checkpoint = Checkpoint(**content)
            except Exception as error:  # whatever a damaged file makes the reader raise
                reason = str(error).split("\n")[0]
                print(f"{path}: damaged checkpoint passed over ({reason})", file=sys.stderr)
                path.unlink()  # else the next save would keep it as the previous one
                continue
            found = (checkpoint.format, checkpoint.identity, checkpoint.data_sha256)
            if found == (FORMAT, identity, data_sha256):
                return checkpoint
            print(
                f"{path}: checkpoint of other parameters or data, not used; training starts anew",
                file=sys.stderr,
            )
            return None
        return None
