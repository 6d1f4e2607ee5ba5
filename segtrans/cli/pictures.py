"""Verbs for pictures of one's own, in folders."""

from pathlib import Path
from typing import Annotated

import typer

from segtrans.cli.verb import Verbs, file_to_write

verbs = Verbs()

PictureFolder = Annotated[
    Path,
    typer.Argument(help="Folder with present/, absent/ and masks/, or with dataset.csv."),
]
Definition = Annotated[
    str | None,
    typer.Option(
        help="JSON of the entry in data_sets; it wins over dataset.yaml in the folder.",
        show_default="dataset.yaml, else by the first image",
    ),
]


@verbs.command()
def check(
    folder: PictureFolder,
    definition: Definition = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="PNG of some pictures to write, masks drawn.", callback=file_to_write),
    ] = None,
) -> None:
    """Read all pictures of a folder, and say what it holds and all that is wrong with it.

    And what tells present from absent images without the target, which a translator would learn
    instead. Writes nothing but the sheet; exit code 1 when something is wrong.
    """
    from segtrans.config.refusals import parse_object
    from segtrans.errors import UserErrors
    from segtrans.sources.image_folder.check import check_folder, counts, notes
    from segtrans.sources.image_folder.definition import complete_definition
    from segtrans.sources.image_folder.shortcuts import describe, find_shortcuts

    given = parse_object(definition, origin="--definition") if definition else {}
    task = complete_definition(folder, given)
    checked = check_folder(folder, task)
    print(f"{folder}: channels {', '.join(task.channels)}; classes {', '.join(task.classes)}")
    for line in (*counts(checked.facts), *notes(checked, folder, task)):
        print(line)
    for line in describe(find_shortcuts(checked.facts)):
        print(line)
    if sheet is not None:
        from segtrans.figures.contact_sheet import contact_sheet
        from segtrans.sources.image_folder.sheet import some_pictures

        contact_sheet(some_pictures(checked.facts, task), sheet)
    if checked.faults:
        raise UserErrors([*checked.faults, f"{folder}: faults as above: {len(checked.faults)}"])
