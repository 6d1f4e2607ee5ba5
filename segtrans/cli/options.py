"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

Output = Annotated[Path, typer.Option(help="File to write; it appears whole or not at all.")]
Data = Annotated[
    Path, typer.Option(help="Data set, an HDF5 file made by `cluttered-mnist` or `half-slices`.")
]
DataSeed = Annotated[int, typer.Option(min=0, help="Seed of the data: split and content.")]
ParamFiles = Annotated[
    list[Path],
    typer.Option(
        "--params",
        help="Parameter files, each over the ones before.",
        default_factory=lambda: [Path("params.yaml")],
        show_default="params.yaml",
    ),
]
Variant = Annotated[
    str | None,
    typer.Option(help="Name in `variants` of the parameters.", show_default="none"),
]
Runs = Annotated[list[Path], typer.Argument(help="Run folders.")]
Triple = tuple[int, int, int]
Threshold = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Probability above which a pixel is segmented.")
]
