"""What to say where cases were expected: an error always names what is there instead."""

from pathlib import Path

from segtrans.data.walk import walk
from segtrans.sources.scans.case_names import NamedFile, expected_name, is_output, recognise, stem

_SHOWN = 3


def listed(folder: Path) -> str:
    """Some of the files below a folder."""
    names = [str(path.relative_to(folder)) for path in walk(folder)]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"there is {', '.join(names[:_SHOWN])}{more}" if names else "there is no file"


def strangers(folder: Path) -> str:
    """Name the NIfTI files of a folder that are no part of a case: a missing one may be there."""
    there = {path for path in folder.iterdir() if not path.name.startswith(".")}
    scans = sorted(path for path in there if stem(path) is not None)
    unnamed = [p.name for p in scans if recognise(p) is None and not is_output(p, there)]
    text = f"; {', '.join(unnamed[:_SHOWN])} beside it has no such name" if unnamed else ""
    for path in scans:
        named = recognise(path)
        if named is not None and named.role == "mask" and is_output(path, there):
            text += (
                f"; {path.name} beside it is an output of `segtrans predict`, by the picture that "
                "lies there: take that away if it is a mask of your own"
            )
    return text


def lone_mask(mask: NamedFile, folders: dict[str, Path]) -> str:
    """Say of a mask that no scan of its case lies beside it, and where it may belong.

    Args:
        mask: the file.
        folders: where the scans of each case lie, by case id.
    """
    beside = [case_id for case_id, folder in folders.items() if folder == mask.path.parent]
    if mask.case_id in folders:
        remedy = f"the scans of {mask.case_id} lie in {folders[mask.case_id]}: move it there"
    elif beside:
        ending = mask.path.name.removeprefix(stem(mask.path) or "")
        name = expected_name(mask.layout, beside[0], "mask") + ending
        remedy = f"beside it lie those of {beside[0]}: rename it {name} if it is theirs"
    else:
        remedy = "no such case lies elsewhere: complete it"
    return (
        f"{mask.path}: is a mask by its name, but no scan of {mask.case_id} lies beside it; "
        f"{remedy}, or take it away"
    )
