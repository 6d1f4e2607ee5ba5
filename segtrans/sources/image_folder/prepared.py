"""What becomes of pictures in the folds of a data set, and what folds lack then."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrans.sources.image_folder.facts import Facts, examine
from segtrans.sources.image_folder.faults import labelled_classes
from segtrans.sources.image_folder.fitting import Place
from segtrans.sources.image_folder.item import Item
from segtrans.sources.image_folder.parts import WHOLE, places_of
from segtrans.sources.own_folder.folds import FOLDS, is_used, unlearnt
from segtrans.sources.own_folder.names import ABSENT, PRESENT
from segtrans.tasks.image_folder import ImageFolder


@dataclass(frozen=True)
class Prepared:
    """What became of a picture.

    Attributes:
        facts: of its pixels.
        fold: that it is in.
        mask_digest: of its mask; empty without one.
        places: where what is stored of it begins; none where it has no use or shows too little of
            the target.
    """

    facts: Facts
    fold: str
    mask_digest: str
    places: tuple[Place, ...]

    @property
    def item(self) -> Item:
        """What it is."""
        return self.facts.item

    @property
    def is_labelled(self) -> bool:
        """Whether it shows the target, and a mask says where."""
        return self.item.domain == PRESENT and self.item.has_mask

    @property
    def is_whole(self) -> bool:
        """Whether it is stored whole."""
        return WHOLE in self.places

    def row(self) -> dict[str, Any]:
        """What a report says of it, as plain types."""
        height, width, _ = self.facts.shape or (0, 0, 0)
        return {
            "picture": self.item.place,
            "domain": self.item.domain,
            "fold": self.fold,
            "group": self.item.group,
            "height": height,
            "width": width,
            "type": self.facts.dtype,
            "has_mask": self.is_labelled,
            "target": self.facts.target_fraction if self.is_labelled else None,
            "n_samples": len(self.places),
            "is_whole": self.is_whole,
            "is_used": is_used(self.item, self.fold),
            "digest": self.facts.digest,
            "shows": self.facts.shows,
            "is_masked": self.item.is_masked,
        }


def read_in_fold(
    item: Item, fold: str, task: ImageFolder, *, data_seed: int
) -> tuple[Prepared, NDArray[Any] | None, NDArray[np.uint8] | None]:
    """Read a picture, and see what is to be stored of it.

    Args:
        item: the picture.
        fold: that it is in.
        task: of the folder.
        data_seed: of where a crop lies.

    Returns:
        What becomes of it; its pixels (H, W, C), None where they cannot be read; the mask (H, W) of
        a P image, or None.
    """
    examined = examine(item, task)
    facts, image, mask = examined.facts, examined.image, examined.mask
    digest = "" if mask is None else hashlib.sha256(mask.tobytes()).hexdigest()
    mask = mask if item.domain == PRESENT else None
    places: list[Place] = []
    if image is not None and not facts.faults and is_used(item, fold):
        places = places_of(item, image.shape[:2], mask, task, data_seed=data_seed)
    return Prepared(facts, fold, digest, tuple(places)), image, mask


def faults_of_folds(prepared: Sequence[Prepared], task: ImageFolder) -> list[str]:
    """What folds lack of all that they were given, a line each.

    What is to be said of a picture that has a fault itself is not known, and nothing is said.

    Args:
        prepared: all pictures.
        task: of the folder.
    """
    return [*_without_images(prepared), *_without_masks(prepared, task)]


def _without_images(prepared: Sequence[Prepared]) -> Iterator[str]:
    for fold in FOLDS:
        for domain in (PRESENT, ABSENT):
            of = [p for p in prepared if (p.fold, p.item.domain) == (fold, domain)]
            given = [p for p in of if domain == ABSENT or p.is_labelled]
            if given and not any(p.places or p.facts.faults for p in given):
                yield (
                    f"fold {fold}: of {len(of)} {domain} pictures none is left whose mask shows "
                    "enough of the target; lower min_target_fraction, or give more masks"
                )


def _without_masks(prepared: Sequence[Prepared], task: ImageFolder) -> Iterator[str]:
    """Pathologies that no mask to train on shows, of those that masks show."""
    drawn = labelled_classes([p.facts for p in prepared])
    for k, name in enumerate(task.pathologies):
        masked = [p for p in prepared if p.is_labelled and p.item.is_masked[k]]
        if k + 1 not in drawn or any(p.fold == "train" and p.facts.faults for p in masked):
            continue
        shown = [p.fold for p in masked if p.places and p.facts.shows[k] == 1]
        yield from unlearnt(name, shown, images="pictures")
