"""What to say where cases were expected: an error always names what is there instead."""

from collections.abc import Collection
from glob import escape
from pathlib import Path

from segtrans.data.walk import walk
from segtrans.sources.scans.case_names import (
    NamedFile,
    expected_name,
    is_mask_output,
    is_output,
    recognise,
    stem,
)

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
    # What some unpackers make of a file.
    if stem(folder) is not None:
        text += f"; {folder.name} is a folder named like a file: put all files of a case into one"
    elif folders := [path.name for path in scans if path.is_dir()]:
        text += f"; {folders[0]} beside it is a folder named like a file: move its file out of it"
    return text + passed_over(there)


def passed_over(paths: Collection[Path]) -> str:
    """Say of files that `segtrans predict` wrote by their names that they count for no case."""
    outputs = sorted(path for path in paths if is_output(path, paths))
    masks = [path.name for path in outputs if is_mask_output(path, paths)]
    text = ""
    if masks:
        text = (
            f"; {masks[0]} beside it is an output of `segtrans predict`, by the picture that "
            "lies there: take that away if it is a mask of your own"
        )
    if volumes := [path.name for path in outputs if not is_mask_output(path, paths)]:
        text += (
            f"; {volumes[0]} is passed over: it is named as an output of `segtrans predict`; if it "
            "is a scan, rename its case so that it does not end in _translation or _residual"
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
    elif outputs := passed_over(list(mask.path.parent.glob(f"{escape(mask.case_id)}_*"))):
        remedy = outputs.removeprefix("; ")
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
