"""Check a folder of pictures as a whole: read every file, and say all that is wrong at once."""

import operator
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segtrans.data.pathologies import Knowledge
from segtrans.processors import n_processors
from segtrans.sources.image_folder.facts import Facts
from segtrans.sources.image_folder.faults import faults_together
from segtrans.sources.image_folder.fitting import Fitting
from segtrans.sources.image_folder.items import Item, Skipped, survey_of
from segtrans.sources.image_folder.prepared import Prepared, faults_of_folds, read_in_fold
from segtrans.sources.own_folder.folds import FOLDS, draw_folds, few_to_score, is_used
from segtrans.sources.own_folder.inverted import inverted_masks
from segtrans.sources.own_folder.names import ABSENT, PICTURES, PRESENT, kind_of
from segtrans.tasks.image_folder import ImageFolder

_LEAST_SHARE = 0.25  # of a type's range; 14 bits in files of 16 are a hair less


@dataclass(frozen=True)
class Checked:
    """What a folder holds.

    Attributes:
        prepared: what becomes of every image, in the order of their places.
        skipped: files that were passed over.
        faults: all that is wrong, a line each; files are named by their paths below the folder.
    """

    prepared: list[Prepared]
    skipped: Skipped
    faults: list[str]

    @property
    def facts(self) -> list[Facts]:
        """Of every image."""
        return [picture.facts for picture in self.prepared]


def check_folder(folder: Path, task: ImageFolder, *, data_seed: int = 0) -> Checked:
    """Read all pictures of a folder once, in as many threads as there are processors.

    Decoders and NumPy let other threads run meanwhile; each has one picture in memory. Nothing is
    resized or written, else all is as when the data set is made.

    Args:
        folder: of the data set.
        task: what its images are.
        data_seed: of the split, and of where crops lie.

    Raises:
        UserError: there is no such folder.
    """
    found = survey_of(folder, task)
    folds, lacking = draw_folds(found.items, task, data_seed=data_seed)

    def read(item: Item) -> Prepared:
        return read_in_fold(item, folds[item.group], task, data_seed=data_seed)[0]

    with warnings.catch_warnings(), ThreadPoolExecutor(n_processors()) as pool:
        warnings.simplefilter("ignore")  # of files with odd metadata, whose pixels are read
        n = len(found.items)
        prepared = list(tqdm(pool.map(read, found.items), total=n, unit="picture", disable=None))
    facts = [picture.facts for picture in prepared]
    faults = [*found.faults, *lacking, *(fault for of in facts for fault in of.faults)]
    faults += [*faults_together(facts, task), *faults_of_folds(prepared, task)]
    return Checked(prepared, found.skipped, [fault.replace(f"{folder}/", "") for fault in faults])


def counts(prepared: Sequence[Prepared]) -> Iterator[str]:
    """How many images there are of which kind, a line each, before the split and after it."""
    facts = [picture.facts for picture in prepared]
    for fold in (None, *FOLDS):
        if of_fold := [of.item for of in facts if of.item.fold == fold]:
            yield f"{fold or 'to be split'}: {_counted(of_fold)}"
    if any(of.item.fold is None for of in facts):
        for fold in FOLDS:
            used = [p.item for p in prepared if p.fold == fold and is_used(p.item, fold)]
            yield f"after the split, {fold}: {_counted(used)}"
    shapes = [of.shape for of in facts if of.shape]
    if shapes:
        rows, columns = (_range([shape[axis] for shape in shapes]) for axis in (0, 1))
        types = ", ".join(name for name, _ in Counter(of.dtype for of in facts if of.shape).items())
        n_groups = len({of.item.group for of in facts})
        groups = "no groups" if n_groups == len(facts) else f"{n_groups} groups"
        yield f"pictures of {rows} rows and {columns} columns, {types}; {groups}"


def _counted(items: Sequence[Item]) -> str:
    present = [item for item in items if item.domain == PRESENT]
    n_masks = sum(item.has_mask for item in present)
    return (
        f"{len(present)} present, {n_masks} of them with a mask; {len(items) - len(present)} absent"
    )


def as_seen(facts: Sequence[Facts], task: ImageFolder) -> Iterator[str]:
    """To which size pictures are fitted, and how many are enlarged for it: a line."""
    fittings = [Fitting(of.shape[:2], task) for of in facts if of.shape]
    if not fittings:
        return
    seen = f"{task.height} x {task.width} pixels (height and width in dataset.yaml)"
    if task.has_parts:
        n = sum(fitting.padded_shape != fitting.shape for fitting in fittings)
        smaller = f"; {n} of {len(fittings)} pictures are smaller, and are padded" if n else ""
        yield f"networks see parts of {seen} at full resolution{smaller}"
        return
    ratios = [new / old for of in fittings for new, old in zip(of.resized, of.shape, strict=True)]
    n_larger, n_smaller = (
        sum(any(map(is_other, of.resized, of.shape)) for of in fittings)
        for is_other in (operator.gt, operator.lt)
    )
    larger = f", up to {max(ratios):.2g} times" if n_larger else ""
    smaller = f", down to {min(ratios):.2g} times" if n_smaller else ""
    yield (
        f"networks see {seen}: of {len(fittings)} pictures {n_larger} are enlarged to that{larger},"
        f" {n_smaller} are reduced{smaller}"
    )


def few_pictures(prepared: Sequence[Prepared]) -> Iterator[str]:
    """A warning for each fold with few pictures to score."""
    used = [picture for picture in prepared if picture.places]
    return few_to_score(
        {
            fold: {
                "pictures with a mask": sum(p.is_labelled for p in used if p.fold == fold),
                "absent pictures": sum(p.item.domain == ABSENT for p in used if p.fold == fold),
            }
            for fold in FOLDS
        }
    )


def known_of_pathologies(facts: Sequence[Facts]) -> Knowledge:
    """What is known of the present pictures."""
    present = [of for of in facts if of.item.domain == PRESENT]
    t, has_mask = (
        np.array(of, np.uint8)
        for of in ([of.shows for of in present], [of.item.is_masked for of in present])
    )
    return Knowledge(t, has_mask)


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def notes(checked: Checked, folder: Path, task: ImageFolder) -> Iterator[str]:
    """What is no fault and should be known, a line each."""
    facts = checked.facts
    if checked.skipped.hidden or checked.skipped.others:
        yield f"passed over: {checked.skipped}"
    lost = Counter(
        path.relative_to(folder).parts[0] + ("/" if len(path.relative_to(folder).parts) > 1 else "")
        for path in checked.skipped.others
        if kind_of(path) in PICTURES
    )
    for place, n in lost.items():
        yield f"{place}: {n} pictures that are no part of the data set"
    if n := sum(of.has_alpha for of in facts):
        yield f"alpha was dropped in {n} pictures"
    if n := sum(of.is_turned for of in facts):
        n_masks = sum(of.is_turned and of.item.has_mask for of in facts)
        yield (
            f"{n} pictures are turned by EXIF, {n_masks} of them with a mask: see on the sheet "
            "whether these fit"
        )
    small = [of for of in facts if 0 < _most_target(of, task) < task.min_target_fraction]
    if small:
        yield (
            f"{len(small)} masks have less target than min_target_fraction = "
            f"{task.min_target_fraction:g}, the first of them {small[0].item.place}"
        )
    yield from warnings_of(facts, task)


def warnings_of(facts: Sequence[Facts], task: ImageFolder) -> Iterator[str]:
    """What a training may suffer from, though all files are good, a line each."""
    shares = {of.item.name: of.target_fraction for of in facts if of.target_fraction}
    yield from inverted_masks(shares, "picture")
    yield from _unused_range(facts, task)
    if task.has_parts and (n := sum(_is_made_smaller(of, task) for of in facts)):
        yield (
            f"WARNING: {n} present pictures without a mask are whole and made smaller, all else is "
            "parts at full resolution: a translator may learn that difference instead of the "
            "target. Give them masks, or set size: fit"
        )


def _unused_range(facts: Sequence[Facts], task: ImageFolder) -> Iterator[str]:
    """A warning where whole numbers fill little of their type, such as 12 bits in files of 16."""
    of_type = [of for of in facts if of.shape and np.dtype(of.dtype).kind in "iu"]
    if task.intensity.mode != "dtype" or not of_type:
        return
    largest = max(of.largest for of in of_type)
    type_ = max(of_type, key=lambda of: of.largest).dtype
    share = largest / np.iinfo(type_).max
    if share < _LEAST_SHARE:
        yield (
            f"WARNING: no value is above {largest:.0f}, {share:.2g} of what {type_} holds, so "
            "networks see nearly black pictures: set intensity to {mode: percentile, low: 0.5, "
            f"high: 99.5}}, or to {{mode: window, low: 0, high: {largest:.0f}}}"
        )


def _most_target(facts: Facts, task: ImageFolder) -> float:
    """The largest share of target that an image made of a picture can have."""
    if facts.target_fraction is None or facts.shape is None or not task.has_parts:
        return facts.target_fraction or 0.0
    height, width, _ = facts.shape
    return facts.target_fraction * height * width / (task.height * task.width)


def _is_made_smaller(facts: Facts, task: ImageFolder) -> bool:
    """Whether a picture is larger than a part and, since nobody drew its target, not cut."""
    height, width, _ = facts.shape or (0, 0, 0)
    is_unlabelled = facts.item.domain == PRESENT and not facts.item.has_mask
    return is_unlabelled and (height > task.height or width > task.width)
