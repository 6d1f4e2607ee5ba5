"""Parameters as the workflow gets them, checked for all that a job would refuse before any starts.

Snakemake removes the outputs of a job that it is about to run: a job that then refuses its
parameters has cost its earlier results.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from segtrans.config.layers import lay_over
from segtrans.config.params import Params, own_values
from segtrans.config.yaml_files import parse_yaml
from segtrans.errors import UserError
from segtrans.sources.parameters import read_params
from segtrans.sources.preflight import CHECKS

_DRY_RUN = re.compile(r"--dry-?run|-[a-zA-Z]*n[a-zA-Z]*")
# Of an option that is repeated, Snakemake takes the last and drops the others without a word.
_ONCE = {"--config": ("--config", "-C"), "--configfile": ("--configfile", "--configfiles")}


def read_preset(
    default: Path, files: Iterable[Path], options: Iterable[str], *, argv: Sequence[str]
) -> Params:
    """Read the parameters of a call of Snakemake, each layer by ourselves.

    Snakemake's own `config` is YAML 1.1, in which 1e-05 is text and 010 is 8, and does not say
    which layer a value is of.

    Args:
        default: params.yaml.
        files: of --configfile, in order.
        options: of --config, "key=value" as they were typed.
        argv: the whole command. On a dry run, what tasks and variants have otherwise than the rest
            goes to stderr.

    Raises:
        UserError: a value is refused, here or by the job that it would go to.
    """
    for option, names in _ONCE.items():
        if sum(argument.partition("=")[0] in names for argument in argv) > 1:
            raise UserError(
                f"{option} is given more than once, and Snakemake uses only the last one; give it "
                "once, with all values after it"
            )
    params = read_params(default, *map(_shown, files), overlay=parse_options(options))
    check_sources(params)
    if any(_DRY_RUN.fullmatch(argument) for argument in argv):
        for line in own_values(params):
            print(f"segtrans: {line}", file=sys.stderr)
    return params


def parse_options(options: Iterable[str]) -> dict[str, Any]:
    """The layer of Snakemake's --config, from "key=value" as they were typed.

    Raises:
        UserError: a value is no YAML.
    """
    content: dict[str, Any] = {}
    for option in options:
        key, _, text = option.partition("=")
        lay_over(content, {key: parse_yaml(text, origin=f"--config {key}", has_lines=False)})
    return content


def check_sources(params: Params) -> None:
    """Raises: UserError: the data of a task cannot be made from what there is, or trained with."""
    for task in params.tasks:
        if why := params.known_tasks[task].why_too_small:
            raise UserError(f"{task}: {why}")
    for kind, check in CHECKS.items():
        if tasks := [task for task in params.tasks if params.known_tasks[task].kind == kind]:
            check(params, tasks)


def _shown(file: Path) -> Path:
    """A file as the user may have named it: relative where it lies below the working directory."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
