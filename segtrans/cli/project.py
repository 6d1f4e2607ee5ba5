"""The command that makes a project of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from segtrans.cli.command import Commands, folder_to_write

commands = Commands()


@commands.command()
def init(
    folder: Annotated[
        Path,
        typer.Argument(help="Folder to make; it must not be there yet.", callback=folder_to_write),
    ],
) -> None:
    """Write a project of your own: Snakefile, parameters, profiles, dvc.yaml."""
    from segtrans.pipeline.project import write_new_project

    write_new_project(folder)
    print(f"Run it:  cd {folder} && snakemake --configfile config/smoke.yaml")
