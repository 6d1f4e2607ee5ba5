"""Which groups of images, or of scans, train, which validate, which test."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from segtrans.sources.own_folder.surveyed import OwnItem
from segtrans.tasks.own_folder import FEW, OwnFolder

FOLDS = ("train", "valid", "test")  # as in a store, which takes long to import
_FOLD_STREAM = 1004  # keeps the draw apart from those of other modules


def draw_folds(
    items: Sequence[OwnItem], task: OwnFolder, *, data_seed: int, masks_give_absent: bool = False
) -> tuple[dict[str, str], list[str]]:
    """Share groups out to the folds; what has a fold already keeps it.

    Validation and test need P images with masks: their share is drawn from the groups with masks,
    those without any unlabelled P image first, and from the groups of A images alone. All others
    train. Unlabelled P images of a group that validates or tests have no use there: see `is_used`.

    Args:
        items: all images of a folder.
        task: has the shares.
        data_seed: of the draw, not negative.
        masks_give_absent: whether P images with masks give A images too, as slices without target
            of a scan.

    Returns:
        Fold (train, valid, test) by group; and what folds would lack, a line each: a P image with a
        mask, or an A image.
    """
    folds = {item.group: item.fold for item in items if item.fold is not None}
    shares = {"test": task.test_fraction, "valid": task.valid_fraction}
    shares = {fold: share for fold, share in shares.items() if fold not in folds.values()}
    rng = np.random.default_rng((data_seed, _FOLD_STREAM))
    for groups in _strata([item for item in items if item.fold is None]):
        left = rng.permutation(sorted(groups)).tolist()
        left.sort(key=groups.__getitem__)  # stable: the order that was drawn among equals
        n = len(left)
        for fold, share in shares.items():
            n_drawn = min(max(1, round(share * n)), max(0, len(left) - 1))
            folds |= dict.fromkeys(left[:n_drawn], fold)
            left = left[n_drawn:]
        folds |= dict.fromkeys(left, "train")
    for item in items:
        folds.setdefault(item.group, "train")
    return folds, list(_lacking(items, task, folds, masks_give_absent=masks_give_absent))


def is_used(item: OwnItem, fold: str) -> bool:
    """Whether an image has a use in a fold: P images without a whole mask can only train."""
    return fold == "train" or item.domain == "absent" or item.has_whole_mask


def unscored(items: Sequence[OwnItem]) -> Iterator[str]:
    """Present images that somebody put into a fold that is scored, without masks of all there."""
    for item in items:
        is_scored = item.domain == "present" and item.fold in ("valid", "test")
        if is_scored and not item.has_whole_mask:
            of_each = " of each pathology that it may show" if item.shows else ""
            yield f"{item.place}: in fold {item.fold} without a mask{of_each}, which scores need"


def unlearnt(pathology: str, folds: Sequence[str], *, images: str) -> Iterator[str]:
    """A fault where no mask of the training fold shows a pathology.

    Args:
        pathology: its name.
        folds: of each image, or scan, whose mask shows it.
        images: what these are, in the plural.
    """
    if "train" not in folds:
        yield (
            f"fold train: no mask shows {pathology}, of which {len(folds)} {images} have one; give "
            "more, or lower valid_fraction and test_fraction"
        )


def few_to_score(counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """A warning for each fold that has few of what it is scored with.

    Args:
        counts: by fold and what there is, such as "absent pictures", how many; of none another
            message tells.
    """
    for fold in ("valid", "test"):
        few = [f"{what}: {n}" for what, n in counts.get(fold, {}).items() if 0 < n < FEW]
        if few:
            yield (
                f"WARNING: fold {fold} is small ({', '.join(few)}): scores of so few say little "
                "about other images; give more, or set a larger share of them apart "
                f"({fold}_fraction)"
            )


def _strata(items: Sequence[OwnItem]) -> tuple[dict[str, int], dict[str, int]]:
    """Groups with masks, and groups of A alone, each with its number of unlabelled P images."""
    n_unlabelled: dict[str, int] = {}
    has_mask, has_present = set(), set()
    for item in items:
        is_present = item.domain == "present"
        is_unlabelled = is_present and not item.has_whole_mask
        n_unlabelled[item.group] = n_unlabelled.get(item.group, 0) + is_unlabelled
        if is_present:
            has_present.add(item.group)
        if is_present and not is_unlabelled:
            has_mask.add(item.group)
    labelled = {group: n for group, n in n_unlabelled.items() if group in has_mask}
    absent = {group: n for group, n in n_unlabelled.items() if group not in has_present}
    return labelled, absent


def _lacking(
    items: Sequence[OwnItem], task: OwnFolder, folds: dict[str, str], *, masks_give_absent: bool
) -> Iterator[str]:
    with_mask = {item.group for item in items if item.domain == "present" and item.has_whole_mask}
    with_absent = {item.group for item in items if item.domain == "absent"}
    if masks_give_absent:
        with_absent |= with_mask
    given = {item.group: item.fold for item in items if item.fold is not None}
    for what, groups in (
        ("present images with a mask", with_mask),
        ("absent images", with_absent),
    ):
        if not any(given.get(group) != "test" for group in groups) and not task.pathologies:
            continue  # there is nothing of it to train on, which is said by the names
        lacking = [fold for fold in FOLDS if not any(folds[group] == fold for group in groups)]
        for fold in lacking:
            if fold in given.values():
                yield (
                    f"fold {fold}: is given, by a folder or the table, without {what}; put some "
                    "there, or give no such fold, so that it is drawn"
                )
        if left := [fold for fold in lacking if fold not in given.values()]:
            n = sum(group not in given for group in groups)
            has_groups = len(folds) < len(items)
            some, one = (" groups have some", " group") if has_groups else (" in all", "")
            yield (
                f"no {what} are left for fold {' and '.join(left)}: {n}{some}; expected at least "
                f"one{one} for each fold that is drawn; give more of them"
            )
