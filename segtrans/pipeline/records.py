"""What stands in a preset's folders is believed only with a record of how it was made.

Snakemake compares the record of a file, `.snakemake/metadata`, with what would make it now; a file
without a record it believes. So copied or pulled files, or a lost folder `.snakemake`, would pass
for those of any parameters. `records.json`, in the folder with the files, holds each one's record
and the SHA-256 of its content, which goes where the files go.
"""

import hashlib
import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord
from snakemake.persistence.file import FilePersistence

from segtrans.atomic import write_json
from segtrans.config.refusals import validate
from segtrans.digests import file_sha256
from segtrans.errors import UserError

METADATA = Path(".snakemake/metadata")
RECORDS = "records.json"
_VERSION = 1
_TIMESTAMP = ".snakemake_timestamp"  # Snakemake's, in a folder that a job makes
_UNKNOWN = MetadataRecord(
    record_format_version=RECORD_FORMAT_VERSION,
    params=["not known: no record says what made this file, or it was changed since"],
)


class _Entry(BaseModel):
    """One file: its content, and Snakemake's record of the job that made it.

    A temporary file has no content any more; its record is compared all the same.
    """

    model_config = ConfigDict(extra="forbid")
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    record: dict[str, Any]


class _Records(BaseModel):
    """The content of `records.json`, by path."""

    model_config = ConfigDict(extra="forbid")
    version: Literal[1]
    files: dict[str, _Entry]


def check_records(
    folders: Iterable[Path], is_output: Callable[[str], bool], false_params: Mapping[str, str]
) -> list[tuple[list[str], str | None]]:
    """Give each output below some folders the record of its content, as Snakemake compares it.

    A file is believed that has not been touched since its job ended, or whose content is that of
    its entry in `records.json`; it gets that entry's record where Snakemake has lost its own or
    has one of another content. Any other gets a record that equals no job's, so that Snakemake
    makes it again when it is asked for.

    Args:
        folders: such as results/laptop, relative to the working directory.
        is_output: whether a path is an output of the workflow.
        false_params: by path, a parameter that the file was not made with, as its content says:
            a record that has it is none of this file, such as one by `snakemake --touch`.

    Returns:
        By folder, the paths that are not believed, and what is wrong with its `records.json`, if
        anything is.
    """
    snakemake = FilePersistence(nolock=True)
    folders = list(folders)
    _remove_damaged(folders, is_output)
    believed: dict[str, MetadataRecord] = {}
    contents: dict[str, str] = {}
    problems = []
    for folder in folders:
        entries, problem = _read(folder)
        of_folder = []
        for path in _outputs(folder, is_output):
            name, record = str(path), _record(snakemake, path)
            entry = entries.get(name)
            made = MetadataRecord.model_validate(entry.record) if entry else None
            if record is None or not _is_untouched(path, record):
                if entry is None or _content(path) != entry.sha256:
                    of_folder.append(name)
                    snakemake._write_record(name, _UNKNOWN)
                    continue
                if record != made:
                    record = made
                    snakemake._write_record(name, made)
            if record and repr(false_params.get(name)) in (record.params or ()):
                of_folder.append(name)
                snakemake._write_record(name, _UNKNOWN)
                continue
            believed[name] = record
            if entry and entry.sha256 and record == made:
                contents[name] = entry.sha256
        _restore_temporary(snakemake, entries)
        problems.append((of_folder, problem))
    _show_other_inputs(believed, contents)
    return problems


def _restore_temporary(snakemake: FilePersistence, entries: dict[str, _Entry]) -> None:
    """Give back the records of files that are gone, where Snakemake has none."""
    for name, entry in entries.items():
        is_gone = entry.sha256 is None and not _exists(name)
        if is_gone and _record(snakemake, Path(name)) is None:
            snakemake._write_record(name, MetadataRecord.model_validate(entry.record))


def _show_other_inputs(believed: dict[str, MetadataRecord], contents: dict[str, str]) -> None:
    """Make newer what a file was not made of: Snakemake compares the contents of newer inputs."""
    for name, record in believed.items():
        for source, checksum in (record.input_checksums or {}).items():
            is_other = source in contents and not str(checksum).endswith(contents[source])
            if is_other and _mtime(Path(source)) <= _mtime(Path(name)):
                _time_file(Path(source)).touch()


def save_records(folder: Path, is_output: Callable[[str], bool]) -> None:
    """Write `records.json` of a folder: the files whose record Snakemake has, and their content."""
    if not folder.is_dir():
        return
    snakemake = FilePersistence(nolock=True)
    old, _ = _read(folder)
    # An entry is bound to a content: one of a file that is no output now does not harm.
    entries = {name: entry for name, entry in old.items() if entry.sha256 and _exists(name)}
    for path in _outputs(folder, is_output):
        record = _record(snakemake, path)
        if record is None or not _is_untouched(path, record):
            continue
        content = record.model_dump()
        if str(path) not in entries or entries[str(path)].record != content:
            entries[str(path)] = _Entry(sha256=_content(path), record=content)
    for name, _ in _recorded():
        if _is_below(name, folder) and not _exists(name) and is_output(name):
            record = _record(snakemake, Path(name))
            if record is not None:
                entries[name] = _Entry(sha256=None, record=record.model_dump())
    records = _Records(version=1, files=entries)
    if entries != old or not (folder / RECORDS).exists():
        write_json(folder / RECORDS, records.model_dump())


def _read(folder: Path) -> tuple[dict[str, _Entry], str | None]:
    """The entries of files below the folder, and what is wrong with the file that holds them."""
    file = folder / RECORDS
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.get("version") != _VERSION:
            found = content.get("version", 0)  # the first had none
            is_older = isinstance(found, int) and found < _VERSION
            return {}, f"of {'an earlier' if is_older else 'another'} version of segtrans"
        entries = validate(_Records, content, origin=str(file)).files
        for entry in entries.values():
            MetadataRecord.model_validate(entry.record)
    except FileNotFoundError:
        return {}, None
    except (OSError, ValueError, UserError, ValidationError, RecursionError) as error:
        return {}, f"damaged ({' '.join(str(error).split()):.120})"
    return {name: entry for name, entry in entries.items() if _is_below(name, folder)}, None


def _is_below(name: str, folder: Path) -> bool:
    path = Path(name)
    return ".." not in path.parts and path.is_relative_to(folder)


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # no name of a file
        return False


def _recorded() -> Iterator[tuple[str, Path]]:
    """All files that Snakemake has a record of, and where; it shares long names out to folders."""
    for path in sorted(METADATA.rglob("*")):
        if path.is_file():
            parts = path.relative_to(METADATA).parts
            with suppress(ValueError):  # no record's name
                yield urlsafe_b64decode("".join(part.lstrip("@") for part in parts)).decode(), path


def _remove_damaged(folders: list[Path], is_output: Callable[[str], bool]) -> None:
    """Remove what a kill or a full disk left of a record: Snakemake cannot read all of that.

    Of other presets' files none: a living Snakemake may be writing there.
    """
    for name, path in _recorded():
        if is_output(name) or any(_is_below(name, folder) for folder in folders):
            try:
                MetadataRecord.model_validate(json.loads(path.read_bytes()))
            except (ValueError, RecursionError):  # ValidationError and UnicodeDecodeError are such
                path.unlink()


def _record(snakemake: FilePersistence, path: Path) -> MetadataRecord | None:
    """Snakemake's record of a file; None when it is missing or of another format."""
    record = snakemake._read_record(str(path))
    is_known = record is not None and record.record_format_version == RECORD_FORMAT_VERSION
    return record if is_known else None


def _outputs(folder: Path, is_output: Callable[[str], bool]) -> Iterator[Path]:
    """What is an output below a folder, files and folders; nothing inside of the latter."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if is_output(str(path)):
            yield path
        elif path.is_dir() and not path.is_symlink():
            yield from _outputs(path, is_output)


def _is_untouched(path: Path, record: MetadataRecord) -> bool:
    """Whether nothing changed since the job ended: Snakemake's end time is the file's own."""
    if _mtime(path) != record.endtime:
        return False
    inside = (path, *path.rglob("*")) if path.is_dir() else ()
    return all(inner.lstat().st_mtime <= record.endtime for inner in inside)


def _time_file(path: Path) -> Path:
    """What carries the time of an output, as Snakemake has it."""
    return path / _TIMESTAMP if (path / _TIMESTAMP).is_file() else path


def _mtime(path: Path) -> float:
    return _time_file(path).stat().st_mtime


def _content(path: Path) -> str:
    """SHA-256 of a file's bytes, or of the names and bytes of a folder's files."""
    if path.is_file():
        return file_sha256(path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != _TIMESTAMP)
    facts = [(str(file.relative_to(path)), file_sha256(file)) for file in files]
    return hashlib.sha256(repr(facts).encode()).hexdigest()
