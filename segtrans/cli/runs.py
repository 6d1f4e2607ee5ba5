"""Commands that train, score and use runs."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from segtrans.cli.command import Commands, file_to_write, folder_to_write
from segtrans.cli.options import Data, Output, ParamFiles, Runs, Threshold, Variant, finite
from segtrans.errors import UserError
from segtrans.places import check_folder

commands = Commands()


@commands.command()
def run_config(
    task: Annotated[str, typer.Option(help="Name of the task.")],
    method: Annotated[str, typer.Option(help="Name of the method.")],
    params: ParamFiles,
    seed: Annotated[int, typer.Option(min=0, help="Initial seed.")] = 0,
    variant: Variant = None,
) -> None:
    """Print the run configuration of one training, for `train --run-config`."""
    from segtrans.config.run_config import resolve_config
    from segtrans.sources.parameters import read_params

    resolved = resolve_config(
        read_params(*params), task=task, method=method, init_seed=seed, variant=variant
    )
    print(resolved.to_json())


@commands.command()
def plan(
    params: ParamFiles,
    tflops: Annotated[
        float,
        typer.Option(
            min=1e-3,
            callback=finite,
            help="Speed of your device in training, in 10^12 operations per second.",
        ),
    ] = 10.0,
) -> None:
    """Print what the trainings of a preset would cost: operations, hours, memory."""
    from segtrans.sources.parameters import read_params
    from segtrans.train.budget.plan import plan_runs, plan_table

    print(plan_table(plan_runs(read_params(*params)), tflops))
    print(
        f"\nHours at {tflops:g} TFLOP/s: in fp32 an H100 did 6 to 13 at the paper's width, and 0.6"
        "\nto 2 where layers are narrow; yours does its GFLOP each over the seconds of an"
        "\niteration. CPU MB: the whole process, as the scheduler is told. Tensors MB: what"
        "\nlives at once, in fp32; a GPU needs these, twice when some batches have no labelled"
        "\nimage, 1 GB or more for libraries, and the data."
    )


@commands.command()
def train(
    run_config: Annotated[
        str, typer.Option(help="JSON of `segtrans run-config`, or a file with it.")
    ],
    data: Data,
    output: Annotated[Path, typer.Option(help="Run folder to write.", callback=folder_to_write)],
    checkpoints: Annotated[
        Path,
        typer.Option(
            help="Folder for checkpoints, from which a stopped training resumes.",
            callback=folder_to_write,
        ),
    ],
    preset: Annotated[str, typer.Option(help="Name of the preset, for tracking.")] = "by-hand",
    variant: Variant = None,
    gpus: Annotated[
        int,
        typer.Option(min=0, help="GPUs to share the training, as far as they are free; 0: CPU."),
    ] = 1,
    devices: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes that share each batch.", show_default="one for each GPU"
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each process.")] = 1,
    workers: Annotated[
        int,
        typer.Option(min=0, help="Processes that read, for data that do not fit into memory."),
    ] = 2,
    checkpoint_every: Annotated[
        float, typer.Option(min=0, callback=finite, help="Seconds between checkpoints.")
    ] = 300.0,
) -> None:
    """Train one run configuration; if interrupted, start it again and it continues."""
    from segtrans.config.run_config import read_config
    from segtrans.train.run import train_run

    train_run(
        read_config(run_config),
        data_file=data,
        output=output,
        checkpoints=checkpoints,
        preset=preset,
        variant=variant,
        n_gpus=max(gpus, devices or 0) if gpus else 0,
        n_devices=devices,
        n_threads=threads,
        n_workers=workers,
        checkpoint_every_s=checkpoint_every,
    )


@commands.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Data,
    threshold: Threshold = 0.5,
) -> None:
    """Score a run on the validation and test folds, and draw its panel and its progress."""
    if run.is_dir():  # else it is no run, which is said when it is read
        check_folder(run)
    from segtrans.figures.panels import write_panel
    from segtrans.figures.progress import write_progress
    from segtrans.score.evaluate import score_run

    score_run(run, data, threshold=threshold)
    write_panel(run, data)
    write_progress(run)


@commands.command()
def predict(
    weights: Annotated[Path, typer.Option(help="Run folder.")],
    output: Annotated[Path, typer.Option(help="Folder to write to.", callback=folder_to_write)],
    case: Annotated[
        list[Path] | None,
        typer.Option(
            help="For a run of brats: the folder of one patient's files, in any known layout; one "
            "of these files, if the folder holds several patients; or a 4D file. May be repeated."
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--input",
            help="For a run on your own pictures or scans: a folder of them, or a single one.",
        ),
    ] = None,
    threshold: Threshold = 0.5,
    save: Annotated[
        str | None,
        typer.Option(
            help="What to write for --input: mask, probability, translation, without (of several "
            "pathologies one), residual, and overlay (pictures) or overview (scans), separated by "
            "commas.",
            show_default="mask,probability,overlay for pictures, all for scans",
        ),
    ] = None,
) -> None:
    """Segment scans or pictures, and translate them to absence, each in its own geometry."""
    if (not case) == (source is None):
        raise UserError("give one of --case, a scan, and --input, a folder of your own")
    if source is not None:
        from segtrans.predict.folders import predict_folder

        kinds = save.split(",") if save is not None else None
        print(predict_folder(weights, source, output, threshold=threshold, kinds=kinds))
        _warn_of_weights(weights)
    elif case:
        from segtrans.predict.scans import predict_cases

        if save is not None:
            raise UserError("--save: is for --input; for --case everything is written")
        for path in predict_cases(weights, case, output, threshold=threshold):
            print(path)
        _warn_of_weights(weights)


@commands.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    output: Annotated[
        Path,
        typer.Option(help="ONNX file to write, whole or not at all.", callback=file_to_write),
    ],
    pixels: Annotated[
        Literal["uint8", "uint16", "float32"],
        typer.Option(help="Data type of the pictures that the model will be given."),
    ] = "uint8",
) -> None:
    """Write the segmentation of a run as an ONNX model, including resizing and intensities."""
    from segtrans.predict.export import doubt_of_pixels, export_run

    print(export_run(run, output, pixels=pixels))
    _warn_of_weights(run)
    if doubt := doubt_of_pixels(run, pixels):
        print(f"segtrans: warning: {doubt}", file=sys.stderr)


@commands.command()
def table(
    runs: Runs,
    output_csv: Annotated[
        Path, typer.Option(help="Table to write, as CSV.", callback=file_to_write)
    ],
    output_md: Annotated[
        Path, typer.Option(help="Table to write, as Markdown with caption.", callback=file_to_write)
    ],
    output_json: Annotated[
        Path, typer.Option(help="Dice per task and method, as JSON.", callback=file_to_write)
    ],
) -> None:
    """Collect the scores of runs in one table, next to the paper's numbers."""
    from segtrans.report.table import write_table

    write_table(runs, output_csv=output_csv, output_md=output_md, output_json=output_json)


@commands.command()
def figures(
    runs: Runs,
    data: Data,
    output: Annotated[Path, typer.Option(help="Folder for the figures.", callback=folder_to_write)],
) -> None:
    """Draw samples of the data, learning curves, and Dice by method and by labelled fraction."""
    from segtrans.figures.of_task import write_figures

    write_figures(runs, data, output)


@commands.command()
def report(
    runs: Runs,
    data: Annotated[
        list[Path], typer.Option(help="Data set of the runs; give one for each of their tasks.")
    ],
    figures: Annotated[
        Path, typer.Option(help="Folder with a folder of figures for each task, from `figures`.")
    ],
    output: Output,
) -> None:
    """Write one page about a preset for a reviewer: a single, self-contained HTML file."""
    from segtrans.report.page import write_report

    write_report(runs, data, figures, output)


@commands.command()
def track(
    runs: Runs,
    output: Annotated[
        Path | None,
        typer.Option(
            help="JSON file to list the tracked runs in; null means that tracking failed.",
            callback=file_to_write,
        ),
    ] = None,
) -> None:
    """Record finished runs in MLflow, and register the best of each method. Safe to repeat."""
    from segtrans.atomic import write_json
    from segtrans.tracking import track_runs
    from segtrans.tracking.register import register_best

    ids = register_best(runs, track_runs(runs))
    n_missing = list(ids.values()).count(None)
    if output is not None:
        write_json(output, ids)
    elif n_missing:
        raise UserError(f"{n_missing} of {len(ids)} runs are not tracked; run this again later")


@commands.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on loopback.")] = 5000,
) -> None:
    """Compare the tracked runs in MLflow: print links, and serve the pages to this machine."""
    from segtrans.tracking import open_pages

    open_pages(port)


@commands.command()
def trace(
    path: Annotated[Path, typer.Argument(help="Run folder, or a file in it, e.g. metrics.json.")],
) -> None:
    """Print where a result comes from: commit, parameters, data, labels, seeds, device."""
    from segtrans.report.trace import print_trace

    print_trace(path)


@commands.command()
def summary(
    results: Annotated[Path, typer.Argument(help="Results of a preset, e.g. results/laptop.")],
) -> None:
    """Print the table of a finished preset, where its pictures are, and how to compare its runs."""
    from segtrans.report.summary import print_summary

    print_summary(results)


def _warn_of_weights(run: Path) -> None:
    """Say where the weights of a run are of no use."""
    from segtrans.config.runs import read_run
    from segtrans.predict.checks import doubt_of_weights

    if doubt := doubt_of_weights(read_run(run)):
        print(f"segtrans: warning: {doubt}", file=sys.stderr)
