"""What is refused before a folder is predicted."""

from collections.abc import Sequence
from pathlib import Path

from segtrans.config.refusals import nearest
from segtrans.config.runs import Run
from segtrans.errors import UserError
from segtrans.places import check_folder

BY_TRANSLATION = ("translation", "without", "residual")  # which only methods that translate make
WITHOUT = ("without",)  # which only methods of several pathologies make


def check_kinds(
    kinds: Sequence[str], known: Sequence[str], run: Run, *, can_translate: bool
) -> None:
    """Refuse kinds of files that nobody makes, or not the method of a run.

    Raises:
        UserError: names the first of them.
    """
    for kind in kinds:
        if kind not in known:
            raise UserError(f"--save {kind}: {nearest(kind, known)}")
        if kind in BY_TRANSLATION and not can_translate:
            raise UserError(
                f"--save {kind}: method {run.config.method} of {run.folder} does not translate; "
                "leave it out"
            )
        if kind in WITHOUT and not run.config.maps:
            raise UserError(
                f"--save {kind}: method {run.config.method} of {run.folder} does not tell several "
                "pathologies apart; leave it out: translation is without the target"
            )


def kinds_of(known: Sequence[str], run: Run, *, can_translate: bool) -> list[str]:
    """Of the kinds of files those that a run makes."""
    lacking = {*(() if can_translate else BY_TRANSLATION), *(() if run.config.maps else WITHOUT)}
    return [kind for kind in known if kind not in lacking]


def doubt_of_weights(run: Run) -> str | None:
    """Why the weights of a run may be of no use, as a sentence."""
    if run.record.best_iteration > 0:
        return None
    return (
        f"{run.folder}: its weights are those that the training began with, since none had a "
        "better validation Dice: what they predict means nothing. Train it again, longer or with "
        "another seed"
    )


def check_places(
    run_folder: Path, source: Path, output: Path, *, kinds: Sequence[str], what: str
) -> None:
    """Refuse a source that is not there, and an output that lies in it or in the run folder.

    Args:
        run_folder: of the run.
        source: a folder, or one file or folder of what is predicted.
        output: folder to write to.
        kinds: names of the folders in it.
        what: is predicted, in the plural.

    Raises:
        UserError: says which.
    """
    if not source.exists():
        raise UserError(f"{source}: not found; expected a folder of {what}, or one of them")
    check_folder(output)
    places = {"the run folder": run_folder}
    if source.is_dir():
        places[f"the folder of the {what}"] = source
    for name, place in places.items():
        if output.resolve().is_relative_to(place.resolve()):
            raise UserError(f"{output}: lies in {name}, {place}; give another folder")
    for kind in kinds:
        if source.resolve().is_relative_to((output / kind).resolve()):
            raise UserError(f"{source}: lies in {output / kind}, where predictions are written")
