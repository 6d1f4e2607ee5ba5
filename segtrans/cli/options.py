"""Options that several commands share."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from segtrans.cli.command import file_to_write
from segtrans.errors import UserError


def allowed_by(block: str, key: str) -> Callable[[typer.CallbackParam, Any], Any]:
    """A callback that allows what a parameter allows, e.g. `valid_fraction` of `BratsParams`."""

    def check(param: typer.CallbackParam, value: Any) -> Any:
        from segtrans.config import params
        from segtrans.config.refusals import validate_field

        if value is not None:
            validate_field(getattr(params, block), key, value, shown=param.opts[0])
        return value

    return check


def finite(param: typer.CallbackParam, value: float) -> float:
    """A callback that refuses NaN, which no limit refuses, and infinity."""
    if not math.isfinite(value):
        raise UserError(f"{param.opts[0]} = {value}: expected a finite number")
    return value


Output = Annotated[
    Path,
    typer.Option(help="File to write; it appears whole or not at all.", callback=file_to_write),
]
Data = Annotated[
    Path,
    typer.Option(
        help="Data set: an HDF5 file made by `cluttered-mnist`, `half-slices`, `image-folder` or "
        "`scan-folder`."
    ),
]
DataSeed = Annotated[
    int,
    typer.Option(
        callback=allowed_by("Params", "data_seed"), help="Seed of the data: of split and content."
    ),
]
ParamFiles = Annotated[
    list[Path],
    typer.Option(
        "--params",
        help="Parameter file; if given repeatedly, later files override earlier ones.",
        default_factory=lambda: [Path("params.yaml")],
        show_default="params.yaml",
    ),
]
Variant = Annotated[
    str | None,
    typer.Option(help="A name under `variants` in the parameters.", show_default="none"),
]
Runs = Annotated[list[Path], typer.Argument(help="Run folders.")]
Triple = tuple[int, int, int]
Threshold = Annotated[
    float,
    typer.Option(
        callback=allowed_by("EvaluationParams", "threshold"),
        help="Probability above which a pixel is segmented.",
    ),
]
