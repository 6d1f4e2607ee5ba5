"""The history of a run, one JSON line per validation: the truth that tracking is replayed from."""

import json
import os
from pathlib import Path
from typing import Any

from segtrans.atomic import write_text

Record = dict[str, Any]


class History:
    """An append-only file of records in order of their iteration."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep_until(self, iteration: int) -> list[Record]:
        """Drop what a killed run wrote after its last checkpoint; returns what stays.

        Records at or before `iteration` stay; a line torn by a kill is dropped too.
        """
        records = []
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    records.append(json.loads(line))
                except json.JSONDecodeError:
                    break
        kept = [record for record in records if record["iteration"] <= iteration]
        write_text(self.path, "".join(_line(record) for record in kept))
        return kept

    def append(self, record: Record) -> None:
        """Write one record and sync it to disk."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(record))
            file.flush()
            os.fsync(file.fileno())


def _line(record: Record) -> str:
    return json.dumps(record, sort_keys=True, allow_nan=False) + "\n"
