"""What `segtrans predict` wrote of a folder: a list that a stopped run goes on from.

`predictions.jsonl` has the settings in its first line, then a line for each image, written before
its files are: whatever stops the run, each file there is whole, and known as ours by its SHA-256.
"""

import csv
import hashlib
import io
import os
import shutil
import threading
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Annotated, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segtrans.atomic import remove_leftovers, temporary_path, write_text
from segtrans.digests import file_sha256
from segtrans.errors import UserError

LIST, TABLE = "predictions.jsonl", "predictions.csv"
_ANOTHER = "give another folder, or move the file away"
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Settings(BaseModel):
    """What all predictions in a folder have in common.

    Attributes:
        weights: SHA-256 of the run's.
        threshold: of the masks.
        source: folder of the images, absolute.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    weights: _Sha256
    threshold: float
    source: str


class Record(BaseModel, ABC):
    """One image: a picture or a scan.

    Attributes:
        image: what it is called below the folder; no other is.
        sources: SHA-256 of its files.
        files: SHA-256 of what was written, by its path below the output.
        columns: of the table, where there is no image to say them.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    image: str
    sources: tuple[_Sha256, ...]
    files: dict[str, _Sha256]

    columns: ClassVar[tuple[str, ...]]

    @abstractmethod
    def row(self) -> dict[str, str]:
        """What the table says of it, by column."""


_Record = TypeVar("_Record", bound=Record)


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    table: _Sha256


class Written(Generic[_Record]):
    """The list of a folder; a context in which images can be added, from several threads.

    Args:
        output: folder to write to; made when the context begins, and taken away at its end where
            nothing was ever predicted.
        settings: of this run.
        record: what is kept of an image.

    Raises:
        UserError: the folder's list is of other settings, or is no such list.
    """

    def __init__(self, output: Path, settings: Settings, record: type[_Record]) -> None:
        self._output, self._settings, self._kind = output, settings, record
        self._records: dict[str, _Record] = {}
        self._hashes: dict[str, set[str]] = defaultdict(set)
        self._end = self._read()
        self._lock = threading.Lock()
        self._temporary = temporary_path(output / "predictions", os.getpid())
        self._n_files = 0
        self._made: list[Path] = []  # folders, the innermost first

    @property
    def is_empty(self) -> bool:
        """Whether nothing was predicted, neither now nor before."""
        return not (self._records or self._n_files)

    def check(self, files: Iterable[str]) -> None:
        """Refuse to write over what this command did not write, or what was changed since.

        Args:
            files: all that may be written, as paths below the output.

        Raises:
            UserError: names the first of them.
        """
        for name in (*files, TABLE):
            path = self._output / name
            if not (path.exists() or path.is_symlink()):
                continue
            if name not in self._hashes:
                raise UserError(
                    f"{path}: is there already and was not written by `segtrans predict`; "
                    f"{_ANOTHER}"
                )
            if self._sha256(name) not in self._hashes[name]:
                raise UserError(
                    f"{path}: was changed since `segtrans predict` wrote it; {_ANOTHER}"
                )

    def is_done(self, image: str, sources: tuple[str, ...], kinds: Iterable[str]) -> bool:
        """Whether files of all kinds were written of an image as it is, and are there."""
        record = self._records.get(image)
        if record is None or record.sources != sources:
            return False
        listed: set[str] = set()
        lacking: set[str] = set()
        for name, sha256 in record.files.items():
            (listed if self._sha256(name) == sha256 else lacking).add(name.partition("/")[0])
        return listed - lacking >= set(kinds)

    def __enter__(self) -> Self:
        places = (self._output, *self._output.parents)
        self._made = [place for place in places if not place.exists()]
        self._output.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self._output / "predictions")
        self._temporary.mkdir()
        path = self._output / LIST
        self._list: IO[bytes] = path.open("r+b" if path.exists() else "wb")
        self._list.truncate(self._end)  # a line that was cut off
        self._list.seek(self._end)
        if not self._end:
            self._append(self._settings)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._list.close()
        shutil.rmtree(self._temporary, ignore_errors=True)
        if self.is_empty:
            self._take_away()

    def add(self, record: _Record, contents: Mapping[str, bytes]) -> None:
        """Write the files of an image: `contents` by their paths below the output.

        Raises:
            OSError: the disk is full or refuses.
        """
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        before = self._records.get(record.image)
        kept: dict[str, str] = {}
        if before is not None:
            kinds = {name.partition("/")[0] for name in contents}
            of_others = {n: h for n, h in before.files.items() if n.partition("/")[0] not in kinds}
            kept = of_others if before.sources == record.sources else {}
        record = record.model_copy(update={"files": kept | hashes})
        with self._lock:
            self._append(record)
            self._n_files += len(contents)
            number = self._n_files
        for n, (name, content) in enumerate(contents.items()):
            target = self._output / name
            temporary = self._temporary / str(number - n)
            temporary.write_bytes(content)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(target)
        if before is not None:
            for name in set(before.files) - set(record.files):
                if self._sha256(name) in self._hashes[name]:
                    (self._output / name).unlink()
        self._records[record.image] = record

    def finish(self, left_out: Collection[str]) -> Path:
        """Write the table of all images in the list, if there are any, and give its path.

        Args:
            left_out: images that could not be read now: what the list has of them is of what they
                were before, and gets no row.

        Raises:
            OSError: the disk is full or refuses.
        """
        if self.is_empty:
            return self._output / TABLE
        text = io.StringIO()
        rows = [
            self._records[image].row() for image in sorted(self._records.keys() - set(left_out))
        ]
        columns = list(rows[0]) if rows else list(self._kind.columns)
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        sha256 = hashlib.sha256(text.getvalue().encode()).hexdigest()
        self._append(_Table(table=sha256))
        write_text(self._output / TABLE, text.getvalue())
        return self._output / TABLE

    def said(self, what: str, *, n_left_out: int, n: int) -> str:
        """A line on what became of all: n images are there, the others were named.

        Args:
            what: an image is, such as picture.
            n_left_out: at least one.
            n: images of this run that are in the folder.
        """
        images = f"1 {what} is" if n_left_out == 1 else f"{n_left_out} {what}s are"
        rest = "nothing was written" if self.is_empty else f"{n} are in {self._output}"
        return f"{images} left out, named above; {rest}"

    def _take_away(self) -> None:
        """Remove the list of nothing, a table of nothing, and the folders made for them."""
        (self._output / LIST).unlink(missing_ok=True)
        if self._sha256(TABLE) in self._hashes[TABLE]:
            (self._output / TABLE).unlink()
        for place in self._made:
            if any(place.iterdir()):
                break
            place.rmdir()

    def _append(self, line: BaseModel) -> None:
        self._list.write(line.model_dump_json().encode() + b"\n")
        self._list.flush()

    def _sha256(self, name: str) -> str | None:
        """Of a file below the output; None where there is none."""
        path = self._output / name
        return None if path.is_symlink() or not path.is_file() else file_sha256(path)

    def _read(self) -> int:
        """Read the list, and give where its last whole line ends."""
        path = self._output / LIST
        if not (path.exists() or path.is_symlink()):
            return 0
        if path.is_symlink() or not path.is_file():
            raise UserError(f"{path}: is no file, and a list of that name is written; {_ANOTHER}")
        content = path.read_bytes()
        if not content:  # stopped before its first line
            return 0
        first, *lines = content.split(b"\n")[:-1] or [b""]
        try:
            settings = Settings.model_validate_json(first)
            for line in lines:
                self._take(line)
        except ValidationError as error:
            raise UserError(
                f"{path}: no list of predictions, or changed since it was written; {_ANOTHER}"
            ) from error
        self._check_settings(settings)
        return sum(len(line) + 1 for line in (first, *lines))

    def _take(self, line: bytes) -> None:
        if line.startswith(b'{"table"'):
            self._hashes[TABLE].add(_Table.model_validate_json(line).table)
            return
        record = self._kind.model_validate_json(line)
        self._records[record.image] = record
        for name, sha256 in record.files.items():
            self._hashes[name].add(sha256)

    def _check_settings(self, found: Settings) -> None:
        wanted = self._settings
        if found == wanted:
            return
        what = f"of what is in {found.source}"
        if found.weights != wanted.weights:
            what = "of another run"
        elif found.threshold != wanted.threshold:
            what = f"at threshold {found.threshold:g}"
        raise UserError(
            f"{self._output}: holds predictions {what}; give another folder, or remove this one"
        )
