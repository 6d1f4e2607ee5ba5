"""Snakemake's records of how the data were made, kept with the data.

Snakemake compares the record of a file with what would make it now. The records lie in
`.snakemake/metadata`, so that data which were copied or pulled alone would pass for those of any
parameters.
"""

import json
from base64 import urlsafe_b64decode
from pathlib import Path

from segtrans.atomic import write_json, write_text

METADATA = Path(".snakemake/metadata")


def save_records(folder: Path, output: Path) -> None:
    """Write the records of all files below a folder, temporary ones too, into one JSON file."""
    records = {}
    for record in sorted(METADATA.iterdir()):
        name = urlsafe_b64decode(record.name).decode()
        if Path(name).is_relative_to(folder) and Path(name) != output:
            records[record.name] = record.read_text(encoding="utf-8")
    write_json(output, records)


def restore_records(file: Path) -> None:
    """Give back the records that `save_records` wrote, where none is."""
    if not file.exists():
        return
    for name, record in json.loads(file.read_text(encoding="utf-8")).items():
        if not (METADATA / name).exists():
            write_text(METADATA / name, record)
