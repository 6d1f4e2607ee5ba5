"""Commands to begin with: a demonstration, and a project of one's own."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from segtrans.cli.command import Commands, folder_to_write

commands = Commands()


@commands.command()
def init(
    folder: Annotated[
        Path,
        typer.Argument(help="Folder to create, or an empty one.", callback=folder_to_write),
    ],
) -> None:
    """Write a project of your own: Snakefile, parameters, profiles, dvc.yaml."""
    from segtrans.pipeline.project import write_new_project

    write_new_project(folder)
    enter = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    print(f"Run it:  {enter}snakemake --configfile config/smoke.yaml")
    print(f"With DVC, which needs a Git repository:  {enter}git init && dvc repro")


@commands.command()
def demo(
    output: Annotated[
        Path, typer.Option(help="Folder to write the pictures to.", callback=folder_to_write)
    ] = Path("demo"),
) -> None:
    """Segment and translate held-out images with weights that come with the package.

    Neither trains nor downloads anything. Writes a picture for each task, and prints the Dice.
    """
    # Read where NumPy and torch are imported. Threads that wait for each other on a busy machine
    # take ten times what one does, and one takes seconds.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from segtrans.demo.show import run_demo

    for shown in run_demo(output):
        scores = shown.scores
        print(
            f"{shown.picture}: {scores['n_images_P']} {shown.what} of presence, Dice "
            f"{scores['dice_soft_pooled']:.2f}, thresholded {scores['dice_hard_pooled']:.2f}; "
            f"{scores['n_images_A']} of absence, on average "
            f"{scores['false_positive_pixels_A_image_mean']:.0f} pixels segmented"
        )
    print("Short trainings: the networks segment, and hardly translate.")
