"""Downloads: several mirrors, resumed when broken off, each file checked against its hash."""

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import requests
from tqdm import tqdm

from segtrans.errors import UserError

_BLOCK = 2**16  # bytes; the last, unfinished block is lost when a connection breaks
_TIMEOUT_S = (10, 60)  # to connect, and between two blocks
_TRIES = 3  # of one mirror, in a row and without a new byte
_HASH_BLOCK = 2**20  # bytes
_SPARE = 2**26  # bytes of disk that are left free for logs and for what else runs


@dataclass(frozen=True)
class RemoteFile:
    """A file to download.

    Attributes:
        name: of the file, in its folder and on the mirrors.
        n_bytes: its size.
        algorithm: of its hash: the best of those that its makers publish.
        digest: its hash, in lower-case hexadecimal.
    """

    name: str
    n_bytes: int
    algorithm: Literal["sha256", "md5"]
    digest: str


def fetch(
    file: RemoteFile,
    folder: Path,
    *,
    mirrors: tuple[str, ...],
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Download one file; a broken download is resumed, here and in a later call.

    Args:
        file: what to download.
        folder: where to; made when absent.
        mirrors: addresses that end in a slash, tried in turn.
        sleep: waits between two tries.

    Returns:
        The file's path.

    Raises:
        UserError: no mirror gave a file whose size and hash are right (says what each answered),
            or the disk has too little space or cannot be written.
    """
    target = folder / file.name
    try:
        if not _is_whole(target, file):
            _download(file, target, mirrors, sleep)
    except OSError as error:
        raise UserError(
            f"{target}: cannot be downloaded: the disk refuses ({error.strerror or error}); what "
            "is there stays: mend it, or choose another folder, and run again"
        ) from error
    return target


def check_space(folder: Path, n_bytes: int, *, what: str) -> None:
    """Refuse to start what the disk cannot hold.

    Args:
        folder: where to write; it need not exist yet.
        n_bytes: what will be written.
        what: is written, for the message.

    Raises:
        UserError: too little space is free; says how much is needed, and where.
    """
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    needed, free = n_bytes + _SPARE, shutil.disk_usage(place).free
    if free < needed:
        raise UserError(
            f"{folder}: {what} needs {needed / 1e9:.2f} GB of disk, {free / 1e9:.2f} GB are free; "
            "free some there, or choose another folder"
        )


def _download(
    file: RemoteFile, target: Path, mirrors: tuple[str, ...], sleep: Callable[[float], None]
) -> None:
    part = target.with_name(f"{file.name}.part")
    have = part.stat().st_size if part.exists() else 0
    if have < file.n_bytes:
        check_space(target.parent, file.n_bytes - have, what=file.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    problems = []
    for mirror in mirrors:
        problem = _try_mirror(mirror + file.name, part, file, sleep)
        if problem is None:
            part.replace(target)
            return
        problems.append(f"{mirror}: {problem}")
    raise UserError(
        f"{target}: cannot be downloaded: {'; '.join(problems)}; check the connection and run "
        "again (it resumes), or put the file there by hand"
    )


def _try_mirror(
    url: str, part: Path, file: RemoteFile, sleep: Callable[[float], None]
) -> str | None:
    """Complete `part` from one mirror; returns what went wrong, if it did.

    Gives up after some tries in a row that brought nothing.
    """
    n_failed, problem = 0, ""
    while n_failed < _TRIES:
        if n_failed:
            sleep(2.0**n_failed)
        n_before = part.stat().st_size if part.exists() else 0
        try:
            _resume(url, part, file)
        except requests.RequestException as error:
            problem = _brief(error)
            if _is_refusal(error):
                break
            has_grown = part.exists() and part.stat().st_size > n_before
            n_failed = 1 if has_grown else n_failed + 1
            continue
        if _is_whole(part, file):
            return None
        part.unlink()
        problem = f"wrong bytes (the {file.algorithm} differs)"
        # The wrong bytes may be those of an earlier try: only then is another one useful.
        if n_before == 0:
            break
        n_failed += 1
    return problem


def _resume(url: str, part: Path, file: RemoteFile) -> None:
    """Append what `part` lacks; a server that ignores the range starts it anew.

    Raises:
        requests.RequestException: the server refuses, breaks off or has another file; `part`
            keeps what came.
    """
    have = part.stat().st_size if part.exists() else 0
    if have == file.n_bytes:
        return
    if have > file.n_bytes:
        part.unlink()
        have = 0
    # Packed on the way, the bytes would neither have this size nor could they be resumed.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
        answer.raise_for_status()
        is_rest = answer.status_code == requests.codes.partial_content
        _check_announced(answer, file.n_bytes - have if is_rest else file.n_bytes)
        with (
            part.open("ab" if is_rest else "wb") as out,
            tqdm(
                total=file.n_bytes,
                initial=have if is_rest else 0,
                unit="B",
                unit_scale=True,
                desc=file.name,
                disable=None,
            ) as bar,
        ):
            for block in answer.iter_content(_BLOCK):
                out.write(block)
                bar.update(len(block))
                if out.tell() > file.n_bytes:  # it may never end
                    break
    if part.stat().st_size < file.n_bytes:
        raise requests.ConnectionError("the connection broke off")


class _OtherFileError(requests.RequestException):
    """The server offers another file, such as the page of a log-in."""


def _check_announced(answer: requests.Response, n_expected: int) -> None:
    """Refuse a file of another size before it overwrites, or hours are spent on it."""
    announced = answer.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) != n_expected:
        raise _OtherFileError(f"wrong bytes (announces {announced} of them, not {n_expected})")


def _is_whole(path: Path, file: RemoteFile) -> bool:
    if not path.is_file() or path.stat().st_size != file.n_bytes:
        return False
    # MD5 finds broken and mistaken downloads, not forged ones: who unpacks must look himself.
    digest = hashlib.new(file.algorithm, usedforsecurity=False)
    with (
        path.open("rb") as content,
        # The bar appears only where hashing takes long enough to wonder.
        tqdm(
            total=file.n_bytes,
            unit="B",
            unit_scale=True,
            desc=f"{file.algorithm} of {file.name}",
            delay=1,
            disable=None,
        ) as bar,
    ):
        while block := content.read(_HASH_BLOCK):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest() == file.digest


def _is_refusal(error: requests.RequestException) -> bool:
    """Whether asking the same again is useless, such as 404 (unlike a busy or failing server)."""
    if isinstance(error, _OtherFileError):
        return True
    code = 0 if error.response is None else error.response.status_code
    return 400 <= code < 500 and code not in (408, 429)


def _brief(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"HTTP {error.response.status_code}"
    return type(error).__name__ if not str(error) else str(error).split("(Caused by")[0][:120]
