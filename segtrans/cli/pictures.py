"""Commands for pictures of one's own, in folders."""

from contextlib import chdir
from pathlib import Path
from typing import Annotated

import typer

from segtrans.cli.command import Commands, file_to_write, folder_to_write
from segtrans.cli.options import DataSeed, Output

commands = Commands()

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


@commands.command()
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
    for line in describe(find_shortcuts(checked.facts)) if checked.facts else ():
        print(line)
    if sheet is not None and checked.facts:
        from segtrans.figures.contact_sheet import contact_sheet
        from segtrans.sources.image_folder.sheet import some_pictures

        contact_sheet(some_pictures(checked.facts, task), sheet)
    if checked.faults:
        n = len(checked.faults)
        raise UserErrors([*checked.faults, f"{folder}: {n} fault{'s' * (n > 1)}"])


@commands.command()
def image_folder(
    folder: PictureFolder,
    task: Annotated[str, typer.Option(help="Name of the task.")],
    output: Output,
    report: Annotated[
        Path,
        typer.Option(help="Folder of the report: counts, a picture.", callback=folder_to_write),
    ],
    definition: Definition = None,
    data_seed: DataSeed = 0,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="That read pictures.", show_default="one for each processor"),
    ] = None,
) -> None:
    """Make a data set of a folder of pictures, and report on it."""
    from segtrans.config.refusals import parse_object
    from segtrans.report.image_folder import write_report
    from segtrans.sources.image_folder.definition import complete_definition
    from segtrans.sources.image_folder.prepare import write_image_folder
    from segtrans.sources.image_folder.shortcuts import describe, find_shortcuts

    given = parse_object(definition, origin="--definition") if definition else {}
    complete = complete_definition(folder, given)
    pictures = write_image_folder(
        output, folder, complete, task, data_seed=data_seed, n_processes=processes
    )
    shortcuts = describe(find_shortcuts([picture.facts for picture in pictures]))
    write_report([picture.row() for picture in pictures], list(shortcuts), output, report)


@commands.command()
def fit(
    folder: PictureFolder,
    output: Annotated[
        Path,
        typer.Option(help="Folder of the run, with all its results.", callback=folder_to_write),
    ],
    methods: Annotated[
        str, typer.Option(help="Rows of the table, with commas between.")
    ] = "segmentation_only,translation",
    iterations: Annotated[
        int | None,
        typer.Option(min=1, help="Length of each training.", show_default="that of params.yaml"),
    ] = None,
    cores: Annotated[
        int | None, typer.Option(min=1, help="To use.", show_default="all there are")
    ] = None,
) -> None:
    """Check, split and prepare a folder of pictures, train methods on it, and score them.

    The workflow of the project, run in a folder of its own; a second run makes nothing again that
    is up to date.
    """
    from segtrans.pipeline.fit import SCALE, run_folders, run_workflow, write_project
    from segtrans.processors import n_processors
    from segtrans.report.summary import print_summary

    write_project(output, folder, methods=methods.split(","), iterations=iterations)
    run_workflow(output, n_cores=cores or n_processors(), say=print)
    with chdir(output):  # where its tracking store is
        print_summary(Path.cwd() / "results" / SCALE)
    for run in run_folders(output):
        print(f"Masks:   segtrans predict --weights {run} --input FOLDER --output MASKS")
