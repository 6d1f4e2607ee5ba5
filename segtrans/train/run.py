"""Train one run configuration from its data file to its run folder."""

import platform
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from segtrans.atomic import remove_partials, write_json
from segtrans.config.catalogue import METHODS
from segtrans.config.refusals import validate
from segtrans.config.run_config import RunConfig
from segtrans.config.run_record import LabelledIds, RunFile, RunOrigin, RunRecord
from segtrans.data.feed.batches import BatchPlan, TrainingBatches, memory_for_data
from segtrans.data.feed.folds import fold_again_and_again, iterate_fold
from segtrans.data.feed.labels import Labelled, choose_labelled
from segtrans.data.pathologies import check_pathologies
from segtrans.data.patients import check_patients
from segtrans.data.store import Store
from segtrans.digests import file_sha256
from segtrans.errors import UserError
from segtrans.methods.frames import FILE as FRAMES
from segtrans.methods.frames import N_IMAGES, Frames
from segtrans.methods.weights import WEIGHTS, build_method, save_weights
from segtrans.places import check_folder
from segtrans.tracking import RunDescription, RunTracker, describe_run
from segtrans.train.commit import checked_out_commit
from segtrans.train.hardware.arena import keep_freed_memory
from segtrans.train.hardware.world import claimed_world, device_name, is_first_process, start_fabric
from segtrans.train.history import Record, write_history
from segtrans.train.loop import Trainer, Validation, n_measured
from segtrans.train.usage import joint_usage

_PACKAGES = ("segtrans", "torch", "lightning-fabric", "numpy", "scipy", "h5py", "safetensors")


def train_run(
    config: RunConfig,
    *,
    data_file: Path,
    output: Path,
    checkpoints: Path,
    preset: str,
    n_gpus: int,
    n_devices: int | None,
    n_threads: int,
    n_workers: int,
    checkpoint_every_s: float,
    variant: str | None = None,
) -> None:
    """Train, or resume, and write the run folder; each of its files appears whole.

    Args:
        config: what to train.
        data_file: the data set.
        output: run folder.
        checkpoints: folder to resume from.
        preset: name, for tracking.
        n_gpus: GPUs that share the training, when any can be seen; 0 for the CPU.
        n_devices: processes that share it, a device each; None for as many as GPUs, else one.
        n_threads: of each process.
        n_workers: reading processes, for data that do not fit into memory.
        checkpoint_every_s: seconds between checkpoints.
        variant: name, for tracking; the run configuration has its values.

    Raises:
        UserError: the data does not fit the run configuration, the checkpoints are in use, the
            batch cannot be shared among the devices, or a term of the objective became NaN.
    """
    for folder in (folders := (output, checkpoints)):
        check_folder(folder)
    torch.set_num_threads(n_threads)
    keep_freed_memory()
    with claimed_world(checkpoints, n_gpus) as devices:
        if is_first_process():
            for folder in folders:
                remove_partials(folder)
        fabric = start_fabric(config.training, devices, n_devices)
        store = _open_store(config, data_file)
        labelled, batches = _plan_batches(config, store, fabric.device)
        trainer = Trainer(
            config,
            build_method(config),
            fabric=fabric,
            folder=checkpoints,
            data_sha256=store.sha256(),
            checkpoint_every_s=checkpoint_every_s,
        )
        records = _resume(trainer)
        if not fabric.is_global_zero:
            trainer.run(batches, Validation(), n_workers=n_workers, on_record=lambda _: None)
            return
        origin = _origin(trainer, store, preset=preset, variant=variant, labelled=labelled)
        tracker = _track(trainer, describe_run(output, origin), records)
        _train_tracked(trainer, batches, store, tracker=tracker, n_workers=n_workers)
        _write_outputs(trainer, store, output, labelled=labelled, origin=origin)


def _track(trainer: Trainer, description: RunDescription, records: list[Record]) -> RunTracker:
    """Open the run in MLflow, or that of the checkpoint again, and log what is there already."""
    tracker = RunTracker(**description, run_id=trainer.mlflow_run_id)
    trainer.mlflow_run_id = tracker.run_id
    for record in records:
        tracker.log(record)
    return tracker


def _resume(trainer: Trainer) -> list[Record]:
    """Resume in all processes; the first one goes ahead and mends what it finds damaged.

    What is left to do is a new session.
    """
    fabric, records = trainer.fabric, list[Record]()
    failure: UserError | None = None
    if fabric.is_global_zero:
        try:
            records = trainer.resume()
        except UserError as error:
            failure = error
    if fabric.broadcast(failure is not None):
        raise failure or SystemExit(1)  # said once
    if not fabric.is_global_zero:
        records = trainer.resume()
    fabric.barrier()
    if not trainer.is_done:
        trainer.sessions.append(_session(device_name(fabric), trainer.progress.iteration))
    return records


def _open_store(config: RunConfig, data_file: Path) -> Store:
    store = Store(data_file)
    if store.header.task != config.task:
        raise UserError(
            f"{data_file}: holds task {store.header.task}, the run is of task {config.task}"
        )
    task = config.definition
    expected = (len(task.channels), *task.image_size)
    if store.image_shape != expected:
        raise UserError(f"{data_file}: images are {store.image_shape}, expected {expected}")
    values = sorted(store.header.labels)
    if task.n_classes > 1 and values != list(range(task.n_classes)):
        raise UserError(
            f"{data_file}: labels of masks are {', '.join(map(str, values))}; task "
            f"{config.task} has "
            f"the classes 0 to {task.n_classes - 1}"
        )
    if store.header.channels != task.channels:
        found, named = (", ".join(names) for names in (store.header.channels, task.channels))
        raise UserError(f"{data_file}: channels are {found}; those of {config.task} are {named}")
    check_pathologies(store, task.pathologies)
    if task.has_patients:
        check_patients(store)
    return store


def _plan_batches(
    config: RunConfig, store: Store, device: torch.device
) -> tuple[Labelled, TrainingBatches]:
    labelled = choose_labelled(
        store.provenance("train", "present"),
        config.labels,
        data_seed=config.data_seed,
        init_seed=config.init_seed,
    )
    is_labelled = labelled.is_labelled
    plan = BatchPlan(
        labelled=np.flatnonzero(is_labelled),
        unlabelled=np.flatnonzero(~is_labelled),
        n_absent=store.n("train", "absent"),
        batch_size=config.training.batch_size,
        labelled_per_batch=config.labels.per_batch,
        only_labelled=METHODS[config.method].only_labelled,
        n_iterations=config.training.iterations,
        seed=config.init_seed,
    )
    limit = memory_for_data(device)
    batches = TrainingBatches(
        store,
        plan,
        device=device,
        memory_limit_bytes=limit,
        neighbours=config.neighbours,
        tells_apart=bool(config.maps),
    )
    return labelled, batches


def _train_tracked(
    trainer: Trainer,
    batches: TrainingBatches,
    store: Store,
    *,
    tracker: RunTracker,
    n_workers: int,
) -> None:
    n, neighbours = n_measured(trainer.config.training), trainer.config.neighbours
    of_fold = partial(iterate_fold, store, "valid", neighbours=neighbours)
    valid = Validation(
        fold_again_and_again(store, "valid", "present", neighbours=neighbours),
        list(of_fold("present", at_most=n)),
        list(of_fold("absent", at_most=n)),
        [_drawn(trainer, store)],
    )
    try:
        trainer.run(batches, valid, n_workers=n_workers, on_record=tracker.log)
    except BaseException:
        tracker.close("FAILED")
        raise
    tracker.close("FINISHED")


def _drawn(trainer: Trainer, store: Store) -> tuple[Tensor, Tensor | None]:
    """A few images of P from end to end of the validation fold, which its frames show."""
    neighbours = trainer.config.neighbours
    return next(iterate_fold(store, "valid", "present", neighbours=neighbours, at_most=N_IMAGES))


def _write_frames(trainer: Trainer, store: Store, file: Path) -> None:
    x_P, mask = _drawn(trainer, store)
    if trainer.frames and mask is not None:
        Frames.of(x_P, mask, trainer.frames).write(file)
    else:
        file.unlink(missing_ok=True)


def _origin(
    trainer: Trainer, store: Store, *, preset: str, variant: str | None, labelled: Labelled
) -> RunOrigin:
    sessions = trainer.sessions
    content = {
        "config": trainer.config.model_dump(mode="json"),
        "config_identity": trainer.config.identity,
        "preset": preset,
        "variant": variant,
        "data": {
            "file": str(store.path),
            "sha256": store.sha256(),
            "source": store.header.source,
            "parameters": store.header.parameters,
            "n_train_images": {
                domain: store.n("train", domain) for domain in ("present", "absent")
            },
        },
        "labelled": {
            "unit": labelled.unit,
            "n_units": len(labelled.ids),
            "n_images": int(labelled.is_labelled.sum()),
        },
        # Of the process that trained last; `sessions` has all of them.
        **{key: sessions[-1][key] for key in ("device", "commit", "versions")},
        "sessions": sessions,
    }
    return validate(RunOrigin, content, origin="run.json")


def _session(device: str, iteration: int) -> dict[str, Any]:
    commit = checked_out_commit()
    return {
        "from_iteration": iteration,
        "device": device,
        "commit": commit.name,
        "commit_unknown": commit.unknown,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
    }


def _write_outputs(
    trainer: Trainer, store: Store, output: Path, *, labelled: Labelled, origin: RunOrigin
) -> None:
    _write_frames(trainer, store, output / FRAMES)
    progress = trainer.progress
    states = {"best": progress.best_method, "last": trainer.last_state()}
    hashes = {
        which: save_weights(output / WEIGHTS[which], state, trainer.config)
        for which, state in states.items()
    }
    write_history(output / "history.jsonl", trainer.records)
    content: dict[str, Any] = {"unit": labelled.unit, "ids": labelled.ids}
    ids = validate(LabelledIds, content, origin="labelled_ids.json")
    write_json(output / "labelled_ids.json", ids.model_dump(mode="json"))
    files = {name: file_sha256(output / name) for name in get_args(RunFile)}
    content = origin.model_dump(mode="json") | {
        "sessions": trainer.sessions,  # with what each has used by now
        "best_iteration": progress.best_iteration,
        "best_dice_soft_pooled": progress.best_dice,
        "weights_sha256": hashes,
        "files_sha256": files,
        "n_parameters": sum(p.numel() for p in trainer.method.parameters() if p.requires_grad),
        "seconds": round(progress.seconds, 1),
        # A checkpoint from before usage was counted has sessions without.
        "usage": joint_usage(session.get("usage") for session in trainer.sessions),
        "mlflow_run_id": trainer.mlflow_run_id,
    }
    record = validate(RunRecord, content, origin="run.json")
    write_json(output / "run.json", record.model_dump(mode="json"))
