"""What is wrong with the scans of a folder taken together."""

from collections.abc import Iterator, Sequence

from segtrans.sources.scan_folder.facts import Facts
from segtrans.tasks.scan_folder import ScanFolder


def faults_together(facts: Sequence[Facts], task: ScanFolder) -> list[str]:
    """Faults that no scan has by itself, a line each.

    Args:
        facts: of all cases.
        task: whose classes are to be found in masks.
    """
    read = [of for of in facts if of.grid is not None]
    return [*_twice(read), *_never_labelled(read, task)]


def _twice(facts: Sequence[Facts]) -> Iterator[str]:
    """The same scan where it must not be twice, however stored."""
    first: dict[str, Facts] = {}
    said = set()
    for of in facts:
        for channel, found in of.prints.items():
            one, other = first.setdefault(found, of).item, of.item
            if one is other or (one.place, other.place) in said:
                continue
            said.add((one.place, other.place))
            where = f"{other.scan.channels[channel]}: the same scan as one of {one.place}"
            if one.domain != other.domain:
                yield f"{where}, which is {one.domain}; keep it in one domain"
            elif one.fold != other.fold:
                fold = f"fold {one.fold}" if one.fold else "no fold yet"
                yield f"{where}, which is in {fold}; keep it in one fold"
            elif one.group != other.group:
                yield f"{where}, which may come to another fold; remove one, or give both one group"


def labelled_classes(facts: Sequence[Facts]) -> set[int]:
    """Values of the classes that are in some mask to train on."""
    return {value for of in facts if of.item.fold != "test" for value in of.classes or ()}


def _never_labelled(facts: Sequence[Facts], task: ScanFolder) -> Iterator[str]:
    found = labelled_classes(facts)
    if not found:
        return  # no mask could be read, which is said already
    for name, value in task.classes.items():
        if value not in found:
            yield f"classes: {name} ({value}) is in no mask to train on; draw it, or leave it out"
