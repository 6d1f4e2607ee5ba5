"""What tells present from absent without the target: a translator learns that instead.

Each number of an image by itself, and a linear classifier on thumbnails and numbers together, are
judged by the area under the ROC curve (AUC): 0.5 is chance, 1 tells all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from segtrans.sources.own_folder.thumbnails import THUMBNAIL

TELLING = 0.9  # an AUC above this is a warning
MIN_IMAGES = 10  # of each domain, to tell anything
_NEAR_CHANCE = 0.6
_MAX_IMAGES = 2000  # of each domain, for the classifier
_PARTS = 5  # of the cross-validation
_STREAM = 1004  # apart from other modules' draws
CLASSIFIER = f"all of these and thumbnails of {THUMBNAIL} x {THUMBNAIL} pixels together"


@dataclass(frozen=True)
class Shortcut:
    """How well something tells present from absent.

    Attributes:
        name: what it is.
        auc: from 0.5 to 1; of the classifier on images that it was not fitted to, below 0.5 too.
        present_is: "higher" or "lower", where the number is that in present images; else "".
    """

    name: str
    auc: float
    present_is: str = ""

    @property
    def tells(self) -> bool:
        """Whether it tells more than a data set should."""
        return self.auc > TELLING


def shortcuts_of(
    names: Sequence[str],
    numbers: NDArray[np.floating],
    thumbnails: NDArray[np.floating],
    is_present: NDArray[np.bool_],
    groups: Sequence[str],
) -> list[Shortcut]:
    """What tells the domains apart, the most telling first; nothing where images are too few.

    Args:
        names: of the D numbers.
        numbers: (N, D) of images.
        thumbnails: (N, ...) of them.
        is_present: (N,), whether each is.
        groups: of each image.
    """
    if min(is_present.sum(), (~is_present).sum()) < MIN_IMAGES:
        return []
    found = []
    for name, values in zip(names, numbers.T, strict=True):
        auc = auc_of(values, is_present)
        more = "higher" if auc > 0.5 else "lower" if auc < 0.5 else ""
        found.append(Shortcut(name, max(auc, 1 - auc), more))
    features = np.concatenate([numbers, thumbnails.reshape(len(thumbnails), -1)], axis=1)
    found.append(Shortcut(CLASSIFIER, classifier_auc(features, is_present, groups)))
    return sorted(found, key=lambda one: -one.auc)


def describe(
    found: Sequence[Shortcut], *, least: str = f"{MIN_IMAGES} images", are_good: bool = True
) -> Iterator[str]:
    """Shortcuts for the user, a line each, and what to think of them.

    Args:
        found: the most telling first.
        least: how many of each domain are needed to find any.
        are_good: whether no image was left out for a fault.
    """
    if not found:
        good = "" if are_good else " without a fault"
        yield (
            "too few to say what else tells present from absent images: "
            f"{least}{good} of each are needed"
        )
        return
    yield (
        "how well present and absent images can be told apart by other things than the target "
        "(area under the ROC curve: 0.5 by chance alone, 1 always):"
    )
    for one in found:
        is_said = one.present_is and one.auc > _NEAR_CHANCE
        which = f": {one.present_is} in present images" if is_said else ""
        yield f"  {one.auc:.2f} {one.name}{which}"
    if telling := [one.name for one in found if one.tells]:
        yield (
            f"WARNING: above {TELLING:g}: {', '.join(telling)}. A translator may learn this in "
            "place of the target: take present and absent images in the same way, unless it is the "
            "target itself that makes the difference"
        )


def auc_of(values: NDArray[np.floating], is_present: NDArray[np.bool_]) -> float:
    """Chance that a present image has more than an absent one, ties counting half.

    Args:
        values: (N,), a number of each image.
        is_present: (N,), of both kinds.
    """
    n = int(is_present.sum())
    ranks = rankdata(values)[is_present].sum()
    return float((ranks - n * (n + 1) / 2) / (n * (len(values) - n)))


def classifier_auc(
    features: NDArray[np.floating], is_present: NDArray[np.bool_], groups: Sequence[str]
) -> float:
    """AUC of a ridge regression to the domain, in a cross-validation that splits no group.

    Args:
        features: (N, D), finite.
        is_present: (N,), of both kinds.
        groups: of each image.
    """
    rng = np.random.default_rng(_STREAM)
    kept = np.concatenate(
        [rng.permutation(np.flatnonzero(is_present == of))[:_MAX_IMAGES] for of in (True, False)]
    )
    features, is_present = features[kept].astype(np.float64), is_present[kept]
    _, group = np.unique(np.array(groups)[kept], return_inverse=True)
    part = rng.permutation(group.max() + 1)[group] % _PARTS
    scores = np.zeros(len(kept))
    for number in range(_PARTS):
        is_held_out = part == number
        fitted_to = is_present[~is_held_out]
        if is_held_out.any() and fitted_to.any() and not fitted_to.all():
            scores[is_held_out] = _scores(features[~is_held_out], fitted_to, features[is_held_out])
    return auc_of(scores, is_present)


def _scores(
    features: NDArray[np.float64], is_present: NDArray[np.bool_], others: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Scores of others by ridge regression, both domains counting the same."""
    mean, sd = features.mean(axis=0), features.std(axis=0)
    sd[sd == 0] = np.inf
    x, y = (features - mean) / sd, np.where(is_present, 1.0, -1.0)
    weights = np.where(is_present, 1 / is_present.sum(), 1 / (~is_present).sum()) * len(y) / 2
    x_weighted = x * weights[:, None]
    offset = weights @ x / len(y)  # the point between the domains
    x = x - offset
    penalty = float(x.shape[1])
    solved = np.linalg.solve(
        (x_weighted - weights[:, None] * offset).T @ x + penalty * np.eye(x.shape[1]),
        (x * weights[:, None]).T @ y,
    )
    scores: NDArray[np.float64] = ((others - mean) / sd - offset) @ solved
    return scores
