"""Commands that make a folder of pictures: from a data set of another layout, or as an example."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from segtrans.cli.command import Commands, folder_to_write

commands = Commands()


class Layout(StrEnum):
    """Layouts that are read."""

    mvtec = "mvtec"
    nnunet = "nnunet"
    msd = "msd"
    coco = "coco"
    labelme = "labelme"


class Example(StrEnum):
    """Examples that can be made."""

    grey = "grey"
    colour = "colour"
    sixteen_bit = "sixteen_bit"


Folder = Annotated[
    Path,
    typer.Argument(help="Folder to make; it must not be there yet.", callback=folder_to_write),
]


@commands.command("import")
def import_data_set(
    layout: Annotated[Layout, typer.Argument(help="Layout of the data set.")],
    source: Annotated[Path, typer.Argument(help="Its folder.")],
    folder: Folder,
    presence: Annotated[
        Path | None,
        typer.Option(
            help="CSV with the columns image and domain (present or absent), for pictures without "
            "a label."
        ),
    ] = None,
) -> None:
    """Make a folder of present/, absent/ and masks/ from a data set of another layout.

    Pictures are copied, outlines filled, volumes cut into slices. A picture whose label is empty is
    absent, one without a label unlabelled.
    """
    from segtrans.sources.image_folder.imports.write import import_folder

    for line in import_folder(layout.value, source, folder, presence=presence):
        print(line)


@commands.command()
def example(
    folder: Folder,
    kind: Annotated[
        Example, typer.Option(help="8 bit grey, 8 bit colour, or 16 bit grey.")
    ] = Example.grey,
    seed: Annotated[int, typer.Option(min=0, help="Seed of crops and defects.")] = 0,
) -> None:
    """Make a folder of pictures to try the product on: real surfaces, some with a made-up defect.

    1 in 20 pictures with a defect has a mask. Needs no network.
    """
    from segtrans.sources.image_folder.examples import write_example

    counts = write_example(folder, kind=kind.value, seed=seed)
    print(", ".join(f"{n} files in {top}/" for top, n in counts.items()))
