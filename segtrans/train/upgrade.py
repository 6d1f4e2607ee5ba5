"""Take over checkpoints of format 2: one training's in a folder, its history in a file beside them.

They had no checksum of their own; torch writes one of each tensor into its ZIP file.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import torch

from segtrans.config.run_config import RunConfig
from segtrans.errors import UserError
from segtrans.train.checkpoint import FORMAT, Checkpoint, CheckpointFolder, set_aside, unreadable
from segtrans.train.history import Record

_OLD_FORMAT = 2


def take_over(checkpoints: CheckpointFolder, config: RunConfig, data_sha256: str) -> None:
    """Write the newest one of this run on this data anew, unless it is there; remove the old.

    Those of other run configurations and data stay where they are until these come back.

    Raises:
        UserError: the history beside the checkpoint has a gap, or a file cannot be read.
    """
    if checkpoints.newest.exists() or checkpoints.previous.exists():
        return
    history = checkpoints.root / "history.jsonl"
    used: list[Path] = []
    for name in (checkpoints.newest.name, checkpoints.previous.name):
        path = checkpoints.root / name
        content = _read(path)
        if content is None or not _is_of(content, config, data_sha256):
            continue
        if not used:
            records = _records(history, path, content["iteration"], config)
            content |= {"records": records, "format": FORMAT}
            checkpoints.save(Checkpoint(**content))
        used.append(path)
    for path in used:
        path.unlink()
    if used and not any(checkpoints.root.glob("checkpoint*.pt")):
        history.unlink()


def _read(path: Path) -> dict[str, Any] | None:
    """The content of an old checkpoint; None when there is none, or a damaged one."""
    try:
        raw = io.BytesIO(path.read_bytes())
        if (damage := _damage(raw)) is not None:
            set_aside(path, damage)
            return None
        raw.seek(0)
        return dict(torch.load(raw, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        return None
    except Exception as error:  # every checksum is right, so the fault lies elsewhere
        raise unreadable(path, error) from error


def _damage(raw: io.BytesIO) -> str | None:
    """What is wrong with the bytes of a ZIP file, or None."""
    try:
        bad = zipfile.ZipFile(raw).testzip()
        raw.seek(0)
        torch.PyTorchFileReader(raw)  # stricter about headers
    except MemoryError:
        raise
    except Exception as error:  # whatever damage makes a reader of bytes raise
        return str(error).split("\n")[0]
    return None if bad is None else f"{bad} has another checksum"


def _is_of(content: dict[str, Any], config: RunConfig, data_sha256: str) -> bool:
    found = tuple(content.get(key) for key in ("format", "identity", "data_sha256"))
    return found == (_OLD_FORMAT, config.identity, data_sha256)


def _records(history: Path, checkpoint: Path, iteration: int, config: RunConfig) -> list[Record]:
    """The records of every validation up to an iteration."""
    training = config.training
    expected = list(range(0, iteration + 1, training.validate_every))
    if iteration == training.iterations and expected[-1] != iteration:
        expected.append(iteration)
    records = {}
    try:
        for line in history.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            records[record["iteration"]] = record
    except (OSError, ValueError, TypeError, KeyError):
        pass  # the lines before may be all that is asked for
    lost = [str(number) for number in expected if number not in records]
    if lost:
        raise UserError(
            f"{history}: missing or damaged; it lacks iteration {', '.join(lost)} of "
            f"{checkpoint.name}; put it back, or move {checkpoint} away to start anew"
        )
    return [records[number] for number in expected]
