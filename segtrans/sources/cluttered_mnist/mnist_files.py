"""The files of MNIST and where they are."""

from pathlib import Path

from segtrans.data.download.fetch import RemoteFile, fetch
from segtrans.sources.cluttered_mnist.digits import MNIST_SHA256

MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

_MNIST_BYTES = (9_912_422, 28_881, 1_648_877, 4_542)
MNIST_FILES = tuple(
    RemoteFile(name, n_bytes, "sha256", sha256)
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
