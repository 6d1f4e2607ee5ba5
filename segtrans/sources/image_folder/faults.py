"""What is wrong with the images of a folder taken together."""

from collections import Counter
from collections.abc import Iterator, Sequence

from segtrans.sources.image_folder.facts import Facts
from segtrans.tasks.image_folder import ImageFolder


def faults_together(facts: Sequence[Facts], task: ImageFolder) -> list[str]:
    """Faults that no image has by itself, a line each.

    Args:
        facts: of all images.
        task: whose classes are to be found in masks.
    """
    read = [of for of in facts if of.shape is not None]
    return [*_other_types(read), *_twice(read), *_never_labelled(read, task)]


def _other_types(facts: Sequence[Facts]) -> Iterator[str]:
    counts = Counter(of.dtype for of in facts)
    if len(counts) < 2:
        return
    usual = max(sorted(counts), key=counts.__getitem__)
    for of in facts:
        if of.dtype != usual:
            yield f"{of.item.files[0]}: holds {of.dtype}, and most pictures {usual}; save all alike"


def _twice(facts: Sequence[Facts]) -> Iterator[str]:
    """The same picture where it must not be twice; in one group and domain it does no harm."""
    first: dict[str, Facts] = {}
    for of in facts:
        one, other = first.setdefault(of.digest, of).item, of.item
        if one is other:
            continue
        where = f"{other.files[0]}: the same picture as {one.files[0]}"
        if one.domain != other.domain:
            yield f"{where}, which is {one.domain}; keep it in one domain"
        elif one.fold != other.fold:
            yield f"{where}, which is in {_fold(one.fold)}; keep it in one fold"
        elif one.group != other.group:
            yield f"{where}, which may come to another fold; remove one, or give both one group"


def _fold(fold: str | None) -> str:
    return f"fold {fold}" if fold else "no fold yet"


def labelled_classes(facts: Sequence[Facts]) -> set[int]:
    """Values of the classes that are in some mask to train on."""
    return {value for of in facts if of.item.fold != "test" for value in of.classes or ()}


def _never_labelled(facts: Sequence[Facts], task: ImageFolder) -> Iterator[str]:
    found = labelled_classes(facts)
    if not found:
        return  # no mask could be read, which is said already
    for name, value in task.classes.items():
        if value not in found:
            yield f"classes: {name} ({value}) is in no mask to train on; draw it, or leave it out"
