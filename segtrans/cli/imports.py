"""Commands that make a folder of one's own: from a data set of another layout, or as an example."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from segtrans.cli.command import Commands, folder_to_write
from segtrans.cli.options import DataSeed
from segtrans.errors import UserError

commands = Commands()


class Layout(StrEnum):
    """Layouts that are read."""

    mvtec = "mvtec"
    nnunet = "nnunet"
    msd = "msd"
    coco = "coco"
    labelme = "labelme"
    brats = "brats"


class Example(StrEnum):
    """Examples that can be made."""

    grey = "grey"
    colour = "colour"
    sixteen_bit = "sixteen_bit"


Folder = Annotated[
    Path,
    typer.Argument(help="Folder to create; it must not exist yet.", callback=folder_to_write),
]


@commands.command("import")
def import_data_set(
    layout: Annotated[Layout, typer.Argument(help="Layout of the data set.")],
    source: Annotated[Path, typer.Argument(help="Its folder.")],
    folder: Folder,
    presence: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with the columns image and domain (present or absent), for pictures "
            "without a label."
        ),
    ] = None,
    labelled: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="brats: share of the training patients whose masks are kept; for the others, the "
            "table lists the slices that show the tumour.",
            show_default="all",
        ),
    ] = None,
    label_classes: Annotated[
        str | None,
        typer.Option(
            help="brats: the classes of labels 1, 2, 3..., in this order, such as 1,2,3,0; class 0 "
            "is no tumour.",
            show_default="as in the layout",
        ),
    ] = None,
    data_seed: DataSeed = 0,
) -> None:
    """Make a folder with present/, absent/ and masks/ from a data set in another layout.

    Pictures are copied, outlines filled, volumes cut into slices. A picture with an empty label is
    absent; one without a label is unlabelled. brats links scans, where the disk allows it, and
    writes a table; patients are split by the data seed.
    """
    if layout is Layout.brats:
        from segtrans.config.refusals import validate_field
        from segtrans.sources.scan_folder.import_brats import import_brats
        from segtrans.tasks.parameters import HalfSliceRules

        if presence is not None:
            raise UserError("--presence: is for pictures; masks of brats say it")
        classes = None if label_classes is None else _whole_numbers(label_classes)
        validate_field(HalfSliceRules, "label_classes", classes, shown="--label-classes")
        lines = import_brats(
            source, folder, labelled=labelled, label_classes=classes, data_seed=data_seed
        )
    else:
        from segtrans.sources.image_folder.imports.write import import_folder

        if labelled is not None or label_classes is not None:
            raise UserError("--labelled, --label-classes: are for brats; leave them out")
        lines = import_folder(layout.value, source, folder, presence=presence)
    for line in lines:
        print(line)


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UserError(
            f"--label-classes {text}: expected whole numbers with commas between, such as 1,2,3,0"
        ) from None


@commands.command()
def example(
    folder: Folder,
    kind: Annotated[
        Example, typer.Option(help="8-bit grey, 8-bit colour, or 16-bit grey.")
    ] = Example.grey,
    seed: Annotated[int, typer.Option(min=0, help="Seed of crops and defects.")] = 0,
) -> None:
    """Make a folder of example pictures: real surfaces, half of them with a synthetic defect.

    One in 20 pictures with a defect has a mask. Needs no network.
    """
    from segtrans.sources.image_folder.examples import write_example

    counts = write_example(folder, kind=kind.value, seed=seed)
    print(", ".join(f"{n} files in {top}/" for top, n in counts.items()))
