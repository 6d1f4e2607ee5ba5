"""Cluttered MNIST (section 4.1): a digit among clutter (P), and clutter alone (A).

The digit is placed first, then piece after piece of clutter; where a piece meets what is there,
dithering decides pixel by pixel. Every piece lies wholly inside the image. Crops are taken anywhere
in a digit, so some are empty.

With `figures` a task has a second target (`two_targets`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from segtrans.config.versions import CLUTTER_VERSION, FIGURES_VERSION
from segtrans.data.pathologies import bit_labels
from segtrans.data.split import split_digits
from segtrans.data.store import FOLDS, StoreHeader, write_store
from segtrans.data.store_writer import StoreWriter
from segtrans.errors import UserError
from segtrans.sources.cluttered_mnist.digits import Digits
from segtrans.sources.cluttered_mnist.figures import draw_figures
from segtrans.sources.cluttered_mnist.pairs import Indices, PairMaker
from segtrans.sources.cluttered_mnist.two_targets import TwoTargetMaker
from segtrans.tasks.cluttered_mnist import ClutteredMnist
from segtrans.tasks.registry import PAPER_TASKS

OVERLAPS = ("dither", "max")
_BLOCK = 256  # images; a block of 48 x 48 stays in the processor's cache


def write_cluttered_mnist(
    output: Path,
    digits: Digits,
    *,
    task: str,
    definition: ClutteredMnist | None = None,
    digits_per_fold: dict[str, int],
    images_per_fold: dict[str, int],
    overlap: str,
    noise_sd: float,
    data_seed: int,
) -> None:
    """Make a data set and write it as a store.

    Args:
        output: the HDF5 file; it appears whole or not at all.
        digits: the source.
        task: its name.
        definition: what the task is; None for mnist48_simple, mnist48_hard and mnist128.
        digits_per_fold: digits of train, valid and test.
        images_per_fold: images of each domain in train, valid and test; digits are taken in
            shuffled rounds, so that each is drawn equally often.
        overlap: `dither`, or `max` for the brighter pixel.
        noise_sd: of the background noise, in [0, 1] intensity.
        data_seed: seed of split, rounds and clutter.

    Raises:
        UserError: a value is not allowed, or more digits are asked for than the source has.
    """
    _check(overlap=overlap, noise_sd=noise_sd, data_seed=data_seed, images=images_per_fold)
    facts = definition or _paper_task(task)
    folds = split_digits(digits.is_test, sizes=digits_per_fold, data_seed=data_seed)
    parameters = {
        "digits_per_fold": digits_per_fold,
        "images_per_fold": images_per_fold,
        "noise_sd": noise_sd,
        "overlap": overlap,
    }
    header = _header(digits, task, facts, parameters, data_seed)
    bar = tqdm(total=sum(images_per_fold.values()), unit="pair", disable=None)
    with write_store(output, header) as writer, bar:
        for fold in FOLDS:
            maker = _maker(
                digits.images[folds[fold]],
                facts,
                overlap=overlap,
                noise_sd=noise_sd,
                seed=(data_seed, CLUTTER_VERSION, facts.clutter_pieces, FOLDS.index(fold)),
            )
            for done in _write_fold(writer, maker, digits, fold, folds[fold], images_per_fold):
                bar.update(done)


def _maker(
    images: NDArray[np.uint8],
    facts: ClutteredMnist,
    *,
    overlap: str,
    noise_sd: float,
    seed: tuple[int, ...],
) -> PairMaker:
    """What makes the pairs of a fold: of as many figures as there are digits, if any."""
    how: dict[str, Any] = {
        "size": facts.height,
        "n_pieces": facts.clutter_pieces,
        "overlap": overlap,
        "noise_sd": noise_sd,
        "seed": seed,
    }
    if not facts.figures:
        return PairMaker(images, **how)
    figures = draw_figures(len(images), seed=(*seed, FIGURES_VERSION))
    return TwoTargetMaker(images, figures, facts.pathologies, **how)


def _paper_task(name: str) -> ClutteredMnist:
    known = {key: task for key, task in PAPER_TASKS.items() if isinstance(task, ClutteredMnist)}
    if name not in known:
        raise UserError(f"task = {name}: no cluttered MNIST; allowed: {', '.join(known)}")
    return known[name]


def _check(*, overlap: str, noise_sd: float, data_seed: int, images: dict[str, int]) -> None:
    if overlap not in OVERLAPS:
        raise UserError(f"overlap = {overlap}: allowed: {', '.join(OVERLAPS)}")
    if not 0 <= noise_sd <= 1:
        raise UserError(f"noise_sd = {noise_sd}: allowed: 0 to 1")
    if data_seed < 0:
        raise UserError(f"data_seed = {data_seed}: at least 0")
    for fold, n_images in images.items():
        if n_images < 1:
            raise UserError(f"number of images to {fold} = {n_images}: at least 1")


def _header(
    digits: Digits, task: str, facts: ClutteredMnist, parameters: dict[str, Any], data_seed: int
) -> StoreHeader:
    fixed = {"clutter_pieces": facts.clutter_pieces, "clutter_version": CLUTTER_VERSION}
    if facts.figures:
        fixed["figures_version"] = FIGURES_VERSION
    return StoreHeader(
        task=task,
        channels=facts.channels,
        parameters=fixed | parameters,
        source=digits.source,
        source_sha256=digits.sha256,
        data_seed=data_seed,
        labels=bit_labels(facts.pathologies) if facts.figures else {0: "background", 1: "digit"},
        pathologies=facts.pathologies,
    )


def _blocks(n: int) -> list[tuple[int, int]]:
    """Number and size of each block of n images."""
    return [(i, min(_BLOCK, n - start)) for i, start in enumerate(range(0, n, _BLOCK))]


def _write_fold(
    writer: StoreWriter,
    maker: PairMaker,
    digits: Digits,
    fold: str,
    indices: Indices,
    images_per_fold: dict[str, int],
) -> Iterator[int]:
    """Write one fold block by block; yields how many pairs were done."""
    n, side = images_per_fold[fold], maker.size
    chosen = maker.choose(n)
    shape = (n, 1, side, side)
    images_P = writer.add(fold, "present", "image", shape=shape, dtype=np.uint8, scale=1 / 255)
    masks = writer.add(fold, "present", "mask", shape=(n, side, side), dtype=np.uint8)
    provenance: dict[str, NDArray[Any]] = {
        "digit": digits.labels[indices][chosen],
        "source_index": indices[chosen],
    }
    known = [maker.known(*of) for of in _blocks(n)]
    for name in known[0]:
        provenance[name] = np.concatenate([of_block[name] for of_block in known])
    for name, rows in provenance.items():
        writer.add(fold, "present", name, shape=rows.shape, dtype=rows.dtype).append(rows)
    images_A = writer.add(fold, "absent", "image", shape=shape, dtype=np.uint8, scale=1 / 255)
    for block, start in enumerate(range(0, n, _BLOCK)):
        x_P, x_A, mask = maker.make(maker.draw(block, chosen[start : start + _BLOCK]))
        images_P.append(x_P[:, None])
        images_A.append(x_A[:, None])
        masks.append(mask)
        yield len(mask)
