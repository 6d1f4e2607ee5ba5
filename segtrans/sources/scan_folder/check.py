"""Check a folder of scans as a whole: read every file, and say all that is wrong at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtrans.data.pathologies import Knowledge
from segtrans.errors import said_once
from segtrans.processors import n_processors
from segtrans.sources.own_folder.folds import FOLDS, few_to_score
from segtrans.sources.own_folder.inverted import inverted_masks
from segtrans.sources.own_folder.names import ABSENT, PRESENT
from segtrans.sources.own_folder.parallel import in_parallel
from segtrans.sources.own_folder.shortcuts import MIN_IMAGES, Shortcut, shortcuts_of
from segtrans.sources.own_folder.surveyed import Skipped
from segtrans.sources.scan_folder.facts import Facts, evenly, examine
from segtrans.sources.scan_folder.fates import FATES
from segtrans.sources.scan_folder.faults import faults_together
from segtrans.sources.scan_folder.item import ScanItem
from segtrans.sources.scan_folder.items import draw_scan_folds, survey
from segtrans.sources.scan_folder.measures import NAMES, PLACE
from segtrans.sources.scan_folder.positions import drawn_as_present
from segtrans.sources.scan_folder.prepared import Prepared, drawn_absent, faults_of_folds
from segtrans.sources.scan_folder.spacing import fix_spacing, spacing_of
from segtrans.tasks.scan_folder import ScanFolder

_FEW_SHOW_IT = 0.5  # of the slices of scans with masks
_LEAST_CASES = 3  # patients of each domain, to tell anything of them
LEAST = f"{_LEAST_CASES} patients and {MIN_IMAGES} slices"
_A_ROW = 8
_TITLES = FATES | {"absent": "without the target (A)"}
_LARGE_BYTES = 32 * 2**20

Shown = tuple[str, NDArray[np.float32], NDArray[np.bool_] | None]


@dataclass(frozen=True)
class Checked:
    """What a folder holds.

    Attributes:
        task: with the spacing that was used.
        cases: what becomes of every case, in the order of their places.
        skipped: files that were passed over.
        faults: all that is wrong, a line each; files are named by their paths below the folder.
    """

    task: ScanFolder
    cases: list[Prepared]
    skipped: Skipped
    faults: list[str]

    @property
    def facts(self) -> list[Facts]:
        """Of every case."""
        return [case.facts for case in self.cases]


def check_folder(folder: Path, task: ScanFolder, *, data_seed: int = 0) -> Checked:
    """Read all scans of a folder once, in as many processes as there are processors.

    Args:
        folder: of the data set.
        task: what its images are.
        data_seed: of the split.

    Raises:
        UserError: there is no such folder.
    """
    found = survey(folder, task)
    # A case whose files are not known has its fault already.
    items = [item for item in found.items if len(item.scan.channels) == len(task.channels)]
    folds, lacking = draw_scan_folds(found.items, task, data_seed=data_seed)
    fixed = fix_spacing(items, task)
    read = partial(_read, task=fixed)
    n = min(n_processors(), len(items)) if _are_large(items) else 1
    facts = list(in_parallel(read, items, n, unit="scan", n_at_once=1))
    prepared = [Prepared(of, folds[of.item.group]) for of in facts]
    faults = [*found.faults, *lacking, *(fault for of in facts for fault in of.faults)]
    faults += faults_together(facts, fixed)
    if len(items) == len(found.items):
        drawn = drawn_absent(prepared, fixed, data_seed=data_seed)
        faults += faults_of_folds(prepared, fixed, drawn)
    shown = [fault.replace(f"{folder}/", "") for fault in faults]
    return Checked(fixed, prepared, found.skipped, shown)


def _are_large(items: Sequence[ScanItem]) -> bool:
    """Whether to read scans takes longer than to start processes for it."""
    paths = [path for item in items for path in item.scan.channels.values()]
    files = (of for path in paths for of in (path.iterdir() if path.is_dir() else (path,)))
    return sum(file.stat().st_size for file in files) > _LARGE_BYTES


def _read(item: ScanItem, *, task: ScanFolder) -> Facts:
    return examine(item, task, spacing_mm=spacing_of(task)).facts


def counts(checked: Checked) -> Iterator[str]:
    """How many cases and slices there are of which kind, before the split and after it."""
    for fold in (None, *FOLDS):
        if of_fold := [of.item for of in checked.facts if of.item.fold == fold]:
            yield f"{fold or 'to be split'}: {counted(of_fold)}"
    if any(of.item.fold is None for of in checked.facts):
        for fold in FOLDS:
            used = [case.item for case in checked.cases if case.fold == fold and case.is_used]
            yield f"after the split, {fold}: {counted(used)}"
    read = [of for of in checked.facts if of.grid is not None]
    if not read:
        return
    axes = checked.task.lps_axes
    sizes = np.array([[of.grid.shape[a] for a in axes] for of in read if of.grid])
    spacing = np.array([[of.grid.spacing_mm[a] for a in axes] for of in read if of.grid])
    names = ("columns", "rows", "slices")
    yield "; ".join(
        f"{_range(sizes[:, k])} {name} of {_range(spacing[:, k])} mm"
        for k, name in enumerate(names)
    )
    to = " x ".join(f"{mm:g}" for mm in spacing_of(checked.task))
    task = checked.task
    yield (
        f"networks see {task.axis} {task.image_name}s, resampled to {to} mm, of {task.height} rows "
        f"and {task.width} columns (height and width in dataset.yaml): {counts_of_fates(read)}"
    )


def known_of_pathologies(facts: Sequence[Facts], task: ScanFolder) -> Knowledge:
    """What is known of the images of P, of each of several pathologies."""
    none = np.zeros((0, len(task.pathologies)), np.uint8)
    t = np.concatenate([none, *(of.shows for of in facts if of.shows is not None)])
    masked = [
        np.tile(np.array(of.item.is_masked, np.uint8), (len(of.shows), 1))
        for of in facts
        if of.shows is not None
    ]
    return Knowledge(t, np.concatenate([none, *masked]))


def counted(items: Sequence[ScanItem]) -> str:
    """Cases by domain, and what is known of them."""
    present = [item for item in items if item.domain == PRESENT]
    n_masks = sum(item.has_mask for item in present)
    n_lists = sum(item.slices is not None for item in present)
    lists = f", {n_lists} with a list of slices" if n_lists else ""
    return (
        f"{len(present)} present scans, {n_masks} of them with a mask{lists}; "
        f"{len(items) - len(present)} absent"
    )


def counts_of_fates(facts: Sequence[Facts]) -> str:
    """Images by fate: labelled and unlabelled P, A, and what is of neither."""
    labelled = sum(of.counts["present"] for of in facts if of.item.has_mask)
    totals = {fate: sum(of.counts[fate] for of in facts) for fate in FATES}
    n_present = totals.pop("present")
    parts = [
        f"{labelled} with the target (P) and a mask",
        f"{n_present - labelled} with the target (P) and no mask",
    ]
    parts += [f"{totals[fate]} {title}" for fate, title in _TITLES.items() if totals.get(fate)]
    return ", ".join(parts)


def truth_of_unlabelled(facts: Sequence[Facts], task: ScanFolder) -> str | None:
    """About how many of the unlabelled P images show the target, by the scans with a mask."""
    unlabelled = [of for of in facts if not of.item.has_mask and of.item.domain == PRESENT]
    n = sum(of.counts.get("present", 0) for of in unlabelled if of.item.slices is None)
    masked = [of for of in facts if of.item.has_whole_mask and of.item.domain == PRESENT]
    n_seen = sum(sum(of.counts.values()) - of.counts["small_content"] for of in masked if of.counts)
    if not n or not n_seen:
        return None
    share = sum(of.counts["present"] for of in masked if of.counts) / n_seen
    line = (
        f"of the {task.image_name}s of scans with a mask {share:.0%} show the target: about as "
        f"many of the {n} unlabelled P are truly P"
    )
    if share < _FEW_SHOW_IT:
        line = (
            f"WARNING: {line}. A translator learns from the rest that P looks like A: list the "
            "slices that show it (slices.csv), give masks, or set unlabelled: listed"
        )
    return line


def few_scans(cases: Sequence[Prepared]) -> Iterator[str]:
    """A warning for each fold with few scans to score."""
    with_mask = [c for c in cases if c.item.domain == PRESENT and c.item.has_whole_mask]
    return few_to_score(
        {
            fold: {"scans with a mask": sum(case.fold == fold for case in with_mask)}
            for fold in FOLDS
        }
    )


def odd_masks(facts: Sequence[Facts]) -> Iterator[str]:
    """A warning where masks may mark the background."""
    shares = {of.item.name: of.target_fraction for of in facts if of.target_fraction}
    return inverted_masks(shares, "scan")


def notes(checked: Checked) -> Iterator[str]:
    """What is no fault and should be known, a line each."""
    if checked.skipped.hidden or checked.skipped.others:
        yield f"passed over: {checked.skipped}"
    if line := truth_of_unlabelled(checked.facts, checked.task):
        yield line
    yield from odd_masks(checked.facts)
    said: dict[str, list[str]] = {}
    for of in checked.facts:
        for note in of.notes:
            said.setdefault(note, []).append(of.item.place)
    for note, places in said.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        yield f"{places[0]}{more}: {note}"
    yield from said_once(list(_copies(checked.facts)))


def _copies(facts: Sequence[Facts]) -> Iterator[str]:
    """A line for each case with channels that are one."""
    for of in facts:
        copies = [name for name in of.prints if list(of.prints.values()).count(of.prints[name]) > 1]
        if copies:
            yield (
                f"{of.item.place}: {' and '.join(copies)} hold the same intensities; was a file "
                "copied by mistake?"
            )


def find_shortcuts(facts: Sequence[Facts], task: ScanFolder) -> list[Shortcut]:
    """What tells slices of P from those of A; nothing where cases of either are too few.

    Of A those alone that are drawn, where these are drawn by their positions.
    """
    by_domain: dict[str, list[Facts]] = {
        domain: [of for of in facts if domain in of.measures and len(of.measures[domain].numbers)]
        for domain in (PRESENT, ABSENT)
    }
    if min(len({of.item.group for of in part}) for part in by_domain.values()) < _LEAST_CASES:
        return []
    measured = [(domain, of) for domain, part in by_domain.items() for of in part]
    n_of = [len(of.measures[domain].numbers) for domain, of in measured]
    numbers = np.concatenate([of.measures[domain].numbers for domain, of in measured])
    is_present = np.repeat([domain == PRESENT for domain, _ in measured], n_of)
    is_used = np.ones(len(numbers), np.bool_)
    if task.absent_positions == "as_present":
        places = numbers[:, NAMES.index(PLACE)]
        is_used[~is_present] = drawn_as_present(places[is_present], places[~is_present], seed=(0,))
    return shortcuts_of(
        NAMES,
        numbers[is_used],
        np.concatenate([of.measures[domain].thumbnails for domain, of in measured])[is_used],
        is_present[is_used],
        np.repeat([of.item.group for _, of in measured], n_of)[is_used].tolist(),
    )


def some_slices(facts: Sequence[Facts]) -> dict[str, list[Shown]]:
    """A slice of at most eight cases of each kind, by title of the kind."""
    good = [of for of in facts if of.example is not None]
    kinds = {
        "present, with a mask": [
            of for of in good if of.item.domain == PRESENT and of.item.has_mask
        ],
        "present": [of for of in good if of.item.domain == PRESENT and not of.item.has_mask],
        "absent": [of for of in good if of.item.domain == ABSENT],
    }
    found = {}
    for title, of_kind in kinds.items():
        if of_kind:
            at = evenly(np.arange(len(of_kind)), _A_ROW).tolist()
            examples = [(of_kind[k].item.place, of_kind[k].example) for k in at]
            found[f"{title} ({len(of_kind)})"] = [(name, *of) for name, of in examples if of]
    return found


def _range(values: NDArray[np.floating]) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
