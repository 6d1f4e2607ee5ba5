"""Folders of example pictures: real surfaces, and defects put into half of them.

Pictures are crops of photographs that scikit-image ships, and nobody drew them for a segmenter. A
photograph is cut into blocks of 128 x 128 pixels, and a crop lies in one block, turned by a
multiple of 90 degrees or mirrored. Crops of a block are a group, which no split takes apart, and
half of each group gets a defect: a crack (a crooked line) or a stain (an ellipse with soft edges),
darker or brighter than the surface in equal shares, so that neither the surface nor the mean
brightness tells who has one. A quarter of the blocks is for test/ alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import yaml
from numpy.typing import NDArray
from skimage.io import imsave

from segtrans.atomic import atomic_path
from segtrans.errors import UserError

_SIDE, _BLOCK = 64, 128  # pixels of a crop and of a block
_N_OF_DOMAIN, _N_TEST = 40, 4  # crops of each domain of a block: to train on, in test/
_MASKS, _MASKED_SHARE = 4, 0.05  # masks of a block that has some, and of all of present/
_LEAST_AREA = 64  # pixels of a defect
_LEVELS = 257  # 16 bit from 8: white stays white
_SENSOR = 3 * _LEVELS  # noise of the 16 bit camera, at most
_STREAM = 1005  # keeps the draw apart from those of other modules


@dataclass(frozen=True)
class _Kind:
    """Photographs by their names in `skimage.data`, and how their crops are saved."""

    photographs: tuple[str, ...]
    channels: tuple[str, ...] = ("grey",)
    is_16_bit: bool = False
    # Of 255, by which paint is darker or brighter than its crop. On a smooth surface as much as on
    # a rough one would be found by a threshold, with a Dice of 0.9.
    change: tuple[float, float] = (50, 90)


KINDS = {
    "grey": _Kind(("brick", "gravel", "grass")),
    "colour": _Kind(("retina",), channels=("red", "green", "blue"), change=(20, 40)),
    "sixteen_bit": _Kind(("moon", "cell"), is_16_bit=True, change=(20, 40)),
}


@dataclass(frozen=True)
class ExamplePicture:
    """A picture of an example.

    Attributes:
        name: without an ending; the same for no two of an example.
        pixels: (64, 64) or (64, 64, 3), uint8 or uint16.
        defect: (64, 64), where it shows one; None for a picture of absence.
    """

    name: str
    pixels: NDArray[Any]
    defect: NDArray[np.bool_] | None


@dataclass(frozen=True)
class _Block:
    name: str
    pixels: NDArray[np.uint8]  # (128, 128) or (128, 128, 3)


def write_example(folder: Path, *, kind: str, seed: int = 0) -> dict[str, int]:
    """Write a folder with present/, absent/, masks/, test/ and dataset.yaml, whole or not at all.

    Args:
        folder: to make; it must not be there, or be empty.
        kind: of `KINDS`.
        seed: of crops and defects; one seed gives one folder.

    Returns:
        Number of files below each of these folders, test/ counted by itself.

    Raises:
        UserError: there is no such kind, or the folder is not empty.
    """
    if kind not in KINDS:
        raise UserError(f"kind = {kind}: no such example; there are {', '.join(KINDS)}")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder}: not empty; nothing is written over, give a new folder")
    of_kind = KINDS[kind]
    rng = np.random.default_rng((seed, _STREAM))
    test, train = _shared_out(of_kind, rng)
    n_masked = round(_MASKED_SHARE * len(train) * _N_OF_DOMAIN / _MASKS)
    with atomic_path(folder) as temporary:
        for block in test:
            _write_block(temporary / "test", block, of_kind, _N_TEST, _N_TEST, rng)
        for place, block in enumerate(train):
            n_masks = _MASKS if place < n_masked else 0
            _write_block(temporary, block, of_kind, _N_OF_DOMAIN, n_masks, rng)
        text = yaml.safe_dump(_definition(of_kind), sort_keys=False)
        (temporary / "dataset.yaml").write_text(text, encoding="utf-8")
        return {
            top: sum(path.is_file() for path in (temporary / top).rglob("*"))
            for top in ("present", "absent", "masks", "test")
        }


def draw_test_pictures(kind: str, *, seed: int = 0) -> list[ExamplePicture]:
    """The pictures that `write_example` writes to test/, of places that no other picture shows."""
    of_kind = KINDS[kind]
    rng = np.random.default_rng((seed, _STREAM))
    test, _ = _shared_out(of_kind, rng)
    return [picture for block in test for picture in _draw_block(block, of_kind, _N_TEST, rng)]


def _shared_out(kind: _Kind, rng: np.random.Generator) -> tuple[list[_Block], list[_Block]]:
    """Blocks for test/, and all others, both in the order in which they are drawn from."""
    blocks = [_Block(*found) for name in kind.photographs for found in _blocks(name)]
    order = [blocks[number] for number in rng.permutation(len(blocks)).tolist()]
    n_test = len(blocks) // 4
    return order[:n_test], order[n_test:]


def _definition(kind: _Kind) -> dict[str, Any]:
    return {
        "title": f"{', '.join(kind.photographs)} with synthetic defects",
        "channels": list(kind.channels),
        "classes": {"defect": 1},
        "height": _SIDE,
        "width": _SIDE,
        "architecture": "mnist48",
        "group": r"^(.+)__\d+$",
        "valid_fraction": 0.3,
    }


def _blocks(photograph: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Blocks of a photograph, without those that its black surround reaches into."""
    pixels: NDArray[np.uint8] = getattr(skimage.data, photograph)()
    for row in range(0, pixels.shape[0] - _BLOCK + 1, _BLOCK):
        for column in range(0, pixels.shape[1] - _BLOCK + 1, _BLOCK):
            block = pixels[row : row + _BLOCK, column : column + _BLOCK]
            is_surround = block.max(axis=2) < 20 if block.ndim == 3 else np.zeros(1, bool)
            if not is_surround.any():
                yield f"{photograph}_{row // _BLOCK:02d}{column // _BLOCK:02d}", block


def _write_block(
    folder: Path, block: _Block, kind: _Kind, n: int, n_masks: int, rng: np.random.Generator
) -> None:
    """Write n crops of each domain, and masks of the first of those with a defect."""
    for top in ("present", "absent", "masks"):
        (folder / top).mkdir(parents=True, exist_ok=True)
    ending = "tif" if kind.is_16_bit else "png"
    for number, picture in enumerate(_draw_block(block, kind, n, rng)):
        domain = "absent" if picture.defect is None else "present"
        file = folder / domain / f"{picture.name}.{ending}"
        imsave(file, picture.pixels, check_contrast=False)
        if picture.defect is not None and number < n_masks:
            mask = picture.defect.astype(np.uint8) * 255
            imsave(folder / "masks" / f"{picture.name}.png", mask, check_contrast=False)


def _draw_block(
    block: _Block, kind: _Kind, n: int, rng: np.random.Generator
) -> Iterator[ExamplePicture]:
    """Give n pictures with a defect, then n without."""
    for number in range(2 * n):
        crop, defect = _crop(block.pixels, rng), None
        if number < n:
            cover = draw_defect(_SIDE, rng)
            crop, defect = _paint(crop, cover, kind, rng), cover > 0.5
        yield ExamplePicture(f"{block.name}__{number:02d}", _stored(crop, kind, rng), defect)


def _crop(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float64]:
    row, column = rng.integers(0, _BLOCK - _SIDE + 1, 2).tolist()
    crop = pixels[row : row + _SIDE, column : column + _SIDE]
    crop = np.rot90(crop, int(rng.integers(4)))
    return (crop[:, ::-1] if rng.integers(2) else crop).astype(np.float64)


def draw_defect(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How much of each pixel a new defect covers: (side, side) in [0, 1], a crack or a stain."""
    while True:
        cover = _crack(side, rng) if rng.integers(2) else _stain(side, rng)
        if (cover > 0.5).sum() >= _LEAST_AREA:
            return cover


def _crack(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A line of 4 to 7 pixels whose heading drifts."""
    n_steps = int(rng.integers(side // 3, side))
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.25, n_steps))
    start = rng.uniform(0.2 * side, 0.8 * side, 2)
    path = start + np.cumsum(np.stack([np.sin(heading), np.cos(heading)], 1), 0)
    rows, columns = np.indices((side, side))[..., None]
    distance = np.sqrt((rows - path[:, 0]) ** 2 + (columns - path[:, 1]) ** 2).min(axis=-1)
    cover: NDArray[np.float64] = np.clip(rng.uniform(4, 7) / 2 + 0.5 - distance, 0, 1)
    return cover


def _stain(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """An ellipse with half axes of 5 to 12 pixels and an edge of two."""
    axes, angle = rng.uniform(5, 12, 2), rng.uniform(0, np.pi)
    row, column = (np.indices((side, side)).T - rng.uniform(0.15 * side, 0.85 * side, 2)).T
    along = (np.cos(angle) * row + np.sin(angle) * column) / axes[0]
    across = (np.cos(angle) * column - np.sin(angle) * row) / axes[1]
    away = (np.sqrt(along**2 + across**2) - 1) * axes.min()
    cover: NDArray[np.float64] = np.clip(0.5 - away / 2, 0, 1)
    return cover


def _paint(
    crop: NDArray[np.float64], cover: NDArray[np.float64], kind: _Kind, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Cover a crop by a paint of its mean colour, made darker or brighter, with a tenth through."""
    change = rng.uniform(*kind.change) * (1 if rng.integers(2) else -1)
    paint = np.clip(crop.mean(axis=(0, 1)) + change, 0, 255)
    share = 0.9 * (cover[..., None] if crop.ndim == 3 else cover)
    painted: NDArray[np.float64] = crop * (1 - share) + paint * share
    return painted


def _stored(crop: NDArray[np.float64], kind: _Kind, rng: np.random.Generator) -> NDArray[Any]:
    if not kind.is_16_bit:
        return np.rint(crop).astype(np.uint8)
    noise = rng.integers(-_SENSOR, _SENSOR + 1, crop.shape)
    return np.clip(np.rint(crop * _LEVELS) + noise, 0, 65535).astype(np.uint16)
