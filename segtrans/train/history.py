"""The history of a run, one JSON line per validation: the truth that tracking is replayed from."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from segtrans.atomic import write_text

Record = dict[str, Any]


def as_line(record: Record) -> str:
    """A record as it stands in the file; raises ValueError when it holds NaN."""
    return json.dumps(record, sort_keys=True, allow_nan=False) + "\n"


def write_history(path: Path, records: Iterable[Record]) -> None:
    """Write all records, in order of their iteration, atomically."""
    write_text(path, "".join(map(as_line, records)))
