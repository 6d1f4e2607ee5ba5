"""Register the best run of each method."""

import re
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from segtrans.config.runs import Run, difference, read_run, read_runs
from segtrans.errors import UserError
from segtrans.methods.weights import WEIGHTS
from segtrans.tracking.calls import attempt_all
from segtrans.tracking.mlflow_run import CONFIG_TAG, DATA_TAG
from segtrans.tracking.store import connect, failures_warn, patient_requests, tracking_uri

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

ALIAS = "best"
_DICE_TAG = "segtrans.valid_dice_soft_pooled"
_ADVICE = "type hint|input example"
_PLACE = "model"  # of the model among the run's artefacts
_PACKAGE = Path(__file__).resolve().parents[1]
_NEEDED = ("torch", "numpy", "safetensors", "pydantic", "pyyaml", "mlflow")


def model_name(run: Run) -> str:
    """The name under which the best run of this run's method is registered."""
    return f"segtrans-{run.record.preset}-{run.config.task}-{run.method_name}"


def register_best(
    run_folders: Iterable[Path], run_ids: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Register, of each method, the run with the best validation Dice, under the alias "best".

    One that is registered already is left as it is. One of another run gives way to a higher
    validation Dice; to a lower one only where no run of the method stands beside those given. A
    failure of MLflow warns and stops nothing.

    Args:
        run_folders: finished runs of one task.
        run_ids: MLflow's id of each run folder; a method whose best run has none is passed over.

    Returns:
        `run_ids` without the id of each run that should be registered and could not be.

    Raises:
        UserError: a run folder holds no finished run.
    """
    ids = dict(run_ids)
    groups = [list(runs) for _, runs in groupby(read_runs(run_folders), key=model_name)]
    groups = [runs for runs in groups if ids.get(str(_best(runs).folder))]
    registered = attempt_all(groups, lambda runs: _try(runs, str(ids[str(_best(runs).folder)])))
    return ids | {
        str(_best(runs).folder): None
        for runs, name in zip(groups, registered, strict=True)
        if name is None
    }


def _try(runs: Sequence[Run], run_id: str) -> str | None:
    run = _best(runs)
    name = model_name(run)
    with failures_warn(f"{name} is not registered; track its runs again later"):
        client = connect()
        held = _held(client, name)
        if held is None or held.run_id == run_id or _beats(run, held) or _is_whole(runs):
            _register(client, name, run, run_id, held)
        return name
    return None


def _is_whole(runs: Sequence[Run]) -> bool:
    """Whether these are all runs of the method that stand here, other parameters' left aside."""
    given = {run.folder.resolve() for run in runs}
    for file in runs[0].folder.resolve().parent.glob("*/run.json"):
        if file.parent not in given:
            with suppress(UserError):  # damaged: no run
                if difference(read_run(file.parent), runs[0]) is None:
                    return False
    return True


def _beats(run: Run, held: Any) -> bool:
    return float(_dice_of(run)) > float(held.tags.get(_DICE_TAG, "-inf"))


def _dice_of(run: Run) -> str:
    return f"{run.record.best_dice_soft_pooled:.6f}"


def _best(runs: Sequence[Run]) -> Run:
    # By validation: the test fold must choose nothing.
    return max(runs, key=lambda run: run.record.best_dice_soft_pooled)


def _register(client: "MlflowClient", name: str, run: Run, run_id: str, held: Any) -> None:
    tags = {
        CONFIG_TAG: run.config.identity,
        DATA_TAG: run.record.data.sha256,
        _DICE_TAG: _dice_of(run),
    }
    if held is not None and held.run_id == run_id and held.tags == tags:
        return
    with TemporaryDirectory() as folder:
        _save_model(run, Path(folder) / _PLACE)
        for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            # One by one: MLflow's threads for a folder would keep a hanging upload, and us, alive.
            with patient_requests(file.stat().st_size):
                place = file.parent.relative_to(folder).as_posix()
                client.log_artifact(run_id, str(file), artifact_path=place)
    if held is None and not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=_description(run))
    source = f"{client.get_run(run_id).info.artifact_uri}/{_PLACE}"
    made = client.create_model_version(name, source, run_id=run_id, tags=tags)
    client.set_registered_model_alias(name, ALIAS, made.version)


def _held(client: "MlflowClient", name: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, ALIAS)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def _save_model(run: Run, path: Path) -> None:
    import mlflow

    mlflow.set_tracking_uri(tracking_uri())
    with TemporaryDirectory() as folder, _without_advice():
        needed, code = Path(folder) / "run", Path(folder) / "code" / _PACKAGE.name
        needed.mkdir()
        for name in ("run.json", WEIGHTS["best"]):
            shutil.copyfile(run.folder / name, needed / name)
        shutil.copytree(_PACKAGE, code, ignore=shutil.ignore_patterns("__pycache__"))
        mlflow.pyfunc.save_model(
            path=str(path),
            python_model=str(Path(__file__).with_name("model.py")),
            artifacts={"run": str(needed)},
            code_paths=[str(code)],
            signature=_signature(run),
            pip_requirements=[f"{name}=={version(name)}" for name in _needed(run)],
        )


@contextmanager
def _without_advice() -> Iterator[None]:
    """Pass over that MLflow would like types or an example of the input: the signature says all.

    MLflow puts a filter of its own before ours in places: what comes through is caught.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("ignore", f".*({_ADVICE})", UserWarning)
        yield
    for warning in caught:
        if not re.search(_ADVICE, str(warning.message)):
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )


def _signature(run: Run) -> Any:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    if run.has_pictures:
        from segtrans.predict.served import DOUBT, columns_of

        kinds = ("binary", "binary", "double", "double")
        gives = {
            column: kind
            for name in run.config.maps or ("",)
            for column, kind in zip(columns_of(name), kinds, strict=True)
        } | {DOUBT: "string"}
        return ModelSignature(
            inputs=Schema([ColSpec("binary", "image")]),
            outputs=Schema([ColSpec(kind, name) for name, kind in gives.items()]),
            params=ParamSchema([ParamSpec("threshold", "double", 0.5)]),
        )
    task = run.config.definition
    images = (-1, run.config.n_input_channels, *task.image_size)
    n_maps = (len(run.config.maps),) if run.config.maps else ()
    maps = (-1, *n_maps, *task.image_size)
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float32), images)]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), maps)]),
    )


def _needed(run: Run) -> tuple[str, ...]:
    if not run.has_pictures:
        return _NEEDED
    from segtrans.predict.served import NEEDED

    return (*_NEEDED, *NEEDED)


def _description(run: Run) -> str:
    of_maps = f", of {' and of '.join(run.config.maps)}" if run.config.maps else ""
    if run.has_pictures:
        return (
            f"{run.method_name}, {run.task_title}. Takes the bytes of picture files of any size "
            "(column image), gives mask and probability of each as the bytes of PNG files, and "
            f"a score{of_maps}."
        )
    task = run.config.definition
    r = run.config.neighbours
    what = f"slices with {r} neighbours on either side as channels" if r else "images"
    return (
        f"{run.method_name}, {run.task_title}. Takes {what} (N, {run.config.n_input_channels}, "
        f"{', '.join(map(str, task.image_size))}) in [-1, 1], gives the probability of "
        f"{' and of '.join(run.config.maps) or 'a lesion'} for each pixel."
    )
