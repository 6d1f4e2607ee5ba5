"""Downloads: several mirrors, resumed when broken off, each file checked against its SHA-256."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests
from tqdm import tqdm

from segtrans.errors import UserError

_BLOCK = 2**20
_TIMEOUT_S = (10, 60)  # to connect, and between two blocks
_TRIES = 3

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


MNIST_FILES = (
    RemoteFile(
        "train-images-idx3-ubyte.gz",
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    RemoteFile(
        "train-labels-idx1-ubyte.gz",
        28_881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    RemoteFile(
        "t10k-images-idx3-ubyte.gz",
        1_648_877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    RemoteFile(
        "t10k-labels-idx1-ubyte.gz",
        4_542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
)


def fetch_mnist(folder: Path) -> None:
    """Download the four files of MNIST into `folder`; what is there and whole is kept.

    Raises:
        UserError: no mirror gave a file whose hash is right.
    """
    for file in MNIST_FILES:
        fetch(file, folder, mirrors=MNIST_MIRRORS)


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
        for attempt in range(_TRIES):
            try:
                _resume(mirror + file.name, part, file)
            except requests.RequestException as error:
                problems.append(f"{mirror}: {_brief(error)}")
                sleep(2.0**attempt)
                continue
            if _sha256(part) == file.sha256:
                part.replace(target)
                return target
            part.unlink()
            problems.append(f"{mirror}: wrong bytes (SHA-256 differs)")
            break
    raise UserError(
        f"{target}: cannot be downloaded: {'; '.join(problems)}; check the connection and run "
        "again (it resumes), or put the file there by hand"
    )


def _resume(url: str, part: Path, file: RemoteFile) -> None:
    """Append what `part` lacks; a server that ignores the range starts it anew."""
    have = part.stat().st_size if part.exists() else 0
    if have == file.n_bytes:
        return
    if have > file.n_bytes:
        part.unlink()
        have = 0
    headers = {"Range": f"bytes={have}-"} if have else {}
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


def _brief(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"HTTP {error.response.status_code}"
    return type(error).__name__ if not str(error) else str(error).split("(Caused by")[0][:120]
