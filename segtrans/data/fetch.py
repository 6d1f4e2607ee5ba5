"""Downloads: several mirrors, resumed when broken off, each file checked against its SHA-256."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests
from tqdm import tqdm

from segtrans.data.digits import MNIST_SHA256
from segtrans.errors import UserError

_BLOCK = 2**16  # bytes; the last, unfinished block is lost when a connection breaks
_TIMEOUT_S = (10, 60)  # to connect, and between two blocks
_TRIES = 3  # of one mirror, in a row and without a new byte

MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


@dataclass(frozen=True)
class RemoteFile:
    """A file to download.

    Attributes:
        name: of the file, in its folder and on the mirrors.
        n_bytes: its size.
        sha256: its hash.
    """

    name: str
    n_bytes: int
    sha256: str


_MNIST_BYTES = (9_912_422, 28_881, 1_648_877, 4_542)
MNIST_FILES = tuple(
    RemoteFile(name, n_bytes, sha256)
    for (name, sha256), n_bytes in zip(MNIST_SHA256.items(), _MNIST_BYTES, strict=True)
)


def fetch_mnist(folder: Path, *, mirrors: tuple[str, ...] = MNIST_MIRRORS) -> None:
    """Download the four files of MNIST into `folder`; what is there and whole is kept.

    Args:
        folder: where to; made when absent.
        mirrors: addresses that end in a slash, tried in turn.

    Raises:
        UserError: no mirror gave a file whose hash is right.
    """
    for file in MNIST_FILES:
        fetch(file, folder, mirrors=mirrors)


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
        UserError: no mirror gave a file whose hash is right; says what each answered.
    """
    target = folder / file.name
    if target.exists() and _sha256(target) == file.sha256:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{file.name}.part"
    problems = []
    for mirror in mirrors:
        problem = _try_mirror(mirror + file.name, part, file, sleep)
        if problem is None:
            part.replace(target)
            return target
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
        if _sha256(part) == file.sha256:
            return None
        part.unlink()
        problem = "wrong bytes (the SHA-256 differs)"
        # The wrong bytes may be those of an earlier try: only then is another one useful.
        if n_before == 0:
            break
        n_failed += 1
    return problem


def _resume(url: str, part: Path, file: RemoteFile) -> None:
    """Append what `part` lacks; a server that ignores the range starts it anew."""
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
    if part.stat().st_size < file.n_bytes:
        raise requests.ConnectionError("the connection broke off")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_refusal(error: requests.RequestException) -> bool:
    """Whether asking the same again is useless, such as 404 (unlike a busy or failing server)."""
    code = 0 if error.response is None else error.response.status_code
    return 400 <= code < 500 and code not in (408, 429)


def _brief(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"HTTP {error.response.status_code}"
    return type(error).__name__ if not str(error) else str(error).split("(Caused by")[0][:120]
