"""What becomes of scans in the folds of a data set, and what folds lack then."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.sources.own_folder.folds import FOLDS, is_used, unlearnt
from segtrans.sources.own_folder.names import ABSENT, PRESENT
from segtrans.sources.scan_folder.facts import Facts
from segtrans.sources.scan_folder.faults import labelled_classes
from segtrans.sources.scan_folder.item import ScanItem
from segtrans.sources.scan_folder.positions import drawn_as_present
from segtrans.tasks.scan_folder import ScanFolder


@dataclass(frozen=True)
class Prepared:
    """What became of a case: its facts, and the fold that it is in."""

    facts: Facts
    fold: str

    @property
    def item(self) -> ScanItem:
        """What it is."""
        return self.facts.item

    @property
    def is_used(self) -> bool:
        """Whether it has a use in its fold."""
        return is_used(self.item, self.fold)

    def row(self) -> dict[str, Any]:
        """What a report says of it, as plain types."""
        grid = self.facts.grid
        has_mask = self.item.domain == PRESENT and self.item.has_mask
        return {
            "case": self.item.scan.case_id,
            "place": self.item.place,
            "domain": self.item.domain,
            "fold": self.fold,
            "group": self.item.group,
            "shape": " x ".join(map(str, grid.shape)) if grid else "",
            "spacing_mm": " x ".join(f"{mm:g}" for mm in grid.spacing_mm) if grid else "",
            "has_mask": has_mask,
            "has_list": self.item.slices is not None,
            "target": self.facts.target_fraction if has_mask else None,
            "n_slices": self.facts.n_slices,
            **{f"n_{fate}": n for fate, n in self.facts.counts.items()},
            "is_used": self.is_used,
            "digest": self.facts.digest,
            "shows": self.facts.known,
            "is_masked": self.item.is_masked,
        }


def drawn_absent(
    cases: Sequence[Prepared], task: ScanFolder, *, data_seed: int
) -> dict[str, NDArray[np.bool_]]:
    """Of each fold's A whether each image is kept, where they are drawn as P lies along the axis.

    Args:
        cases: all cases, in order; those with faults have no images.
        task: of the folder; without such a draw there is nothing to tell.
        data_seed: of the draw.
    """
    if task.absent_positions != "as_present":
        return {}
    drawn = {}
    for number, fold in enumerate(FOLDS):
        present, absent = (
            np.concatenate(
                [np.zeros(0), *(case.facts.places[domain] for case in _good(cases, fold))]
            )
            for domain in (PRESENT, ABSENT)
        )
        drawn[fold] = drawn_as_present(present, absent, seed=(data_seed, number))
    return drawn


def faults_of_folds(
    cases: Sequence[Prepared], task: ScanFolder, drawn: Mapping[str, NDArray[np.bool_]]
) -> Iterator[str]:
    """What folds lack of all that they were given, a line each.

    What is to be said of a case that has a fault itself is not known, and nothing is said.

    Args:
        cases: all of them.
        task: of the folder.
        drawn: of `drawn_absent`.
    """
    masks_give_absent = task.absent_from_present != "never"
    for fold in FOLDS:
        good = _good(cases, fold)
        if len(good) < sum(case.fold == fold and case.is_used for case in cases):
            continue
        with_mask = [c for c in good if c.item.domain == PRESENT and c.item.has_mask]
        absent = [c for c in good if c.item.domain == ABSENT]
        absent += [c for c in with_mask if c.item.has_whole_mask and masks_give_absent]
        n_absent = sum(case.facts.counts["absent"] for case in good)
        n_of = {
            "P with a mask": (with_mask, sum(c.facts.counts["present"] for c in with_mask)),
            "A": (absent, n_absent),
        }
        for what, (givers, n) in n_of.items():
            if givers and not n:
                yield (
                    f"fold {fold}: of its {len(good)} scans no slice of {what} is left; lower "
                    "min_target_fraction or min_content_fraction, or give more scans"
                )
        if n_absent and fold in drawn and not drawn[fold].any():
            yield (
                f"fold {fold}: no slice of A lies along the axis where slices of P do; give more "
                "scans, or set absent_positions: all"
            )
    yield from _without_masks(cases, task)


def _without_masks(cases: Sequence[Prepared], task: ScanFolder) -> Iterator[str]:
    """Pathologies that no mask to train on shows in a slice of P, of those that masks show."""
    drawn = labelled_classes([case.facts for case in cases])
    for k, name in enumerate(task.pathologies):
        masked = [c for c in cases if c.item.domain == PRESENT and c.item.is_masked[k]]
        if k + 1 not in drawn or any(c.fold == "train" and c.facts.faults for c in masked):
            continue
        shown = [c.fold for c in masked if c.is_used and _shows(c.facts, k)]
        yield from unlearnt(name, shown, images="scans")


def _shows(facts: Facts, k: int) -> bool:
    return facts.shows is not None and bool((facts.shows[:, k] == 1).any())


def _good(cases: Sequence[Prepared], fold: str) -> list[Prepared]:
    """Cases of a fold that have a use there, and no faults."""
    return [case for case in cases if case.fold == fold and case.is_used and not case.facts.faults]
