"""The one training loop, for all methods: draw, update, record, validate, checkpoint, stop."""

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from segtrans.atomic import remove_partials
from segtrans.batch import Batch
from segtrans.config.blocks import TrainingParams
from segtrans.config.run_config import RunConfig
from segtrans.data.feed.augment import augment_batch
from segtrans.data.feed.batches import TrainingBatches, make_loader
from segtrans.data.feed.folds import Samples
from segtrans.errors import UserError
from segtrans.methods.base import Method
from segtrans.methods.frames import Frame, is_kept, make_frame
from segtrans.processes import joint_mean, n_processes, share
from segtrans.score.translation import measure_translation
from segtrans.score.valid_fold import validate
from segtrans.tasks.base import VOID
from segtrans.train.average import WeightAverage
from segtrans.train.checkpoint import Checkpoint, CheckpointFolder
from segtrans.train.hardware.updates import Updates
from segtrans.train.history import Record, as_line
from segtrans.train.rates import Rates
from segtrans.train.sums import TermSums
from segtrans.train.upgrade import take_over
from segtrans.train.usage import UsageMeter

Batches = Iterable[Samples]  # to be gone through again and again
# Measuring an image of each domain takes 0.2 to 0.45 of the time of training on one of each: with a
# tenth as many, below 5 % of the time between two validations.
_TRAINED_FOR_EACH_MEASURED = 10
_FEWEST_MEASURED, _MOST_MEASURED = 8, 256


class Validation(NamedTuple):
    """What a training is validated on.

    Attributes:
        segmented: all images of P of the validation fold.
        present: some of them, on which translation is measured.
        absent: as many images of A.
        drawn: a few images of P, the same at each validation.
    """

    segmented: Batches = ()
    present: Batches = ()
    absent: Batches = ()
    drawn: Batches = ()


def n_measured(training: TrainingParams) -> int:
    """Images of each domain on which translation is measured at a validation, at most."""
    n = training.validate_every * training.batch_size // _TRAINED_FOR_EACH_MEASURED
    return min(_MOST_MEASURED, max(_FEWEST_MEASURED, n))


@dataclass
class Progress:
    """Where a training stands."""

    iteration: int = 0
    best_iteration: int = 0
    best_dice: float = -1.0
    best_method: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0


class Trainer:
    """Trains one run configuration; resumes from its checkpoint as if it had never stopped."""

    def __init__(
        self,
        config: RunConfig,
        method: Method,
        *,
        fabric: Fabric,
        folder: Path,
        data_sha256: str,
        checkpoint_every_s: float,
    ) -> None:
        self.config = config
        self.fabric = fabric
        self.method = method.to(fabric.device)
        self.method.prepare(config.training)
        self.rates = Rates(self.method, config.training)
        self.average = WeightAverage(self.method, config.training.average)
        if config.training.compile and fabric.device.type != "cpu":
            self.method.compile_networks()
        self.update = Updates(self.method, fabric)
        self.checkpoints = CheckpointFolder(
            folder, identity=config.identity, data_sha256=data_sha256
        )
        self.records: list[Record] = []
        self.frames: list[Frame] = []
        self.data_sha256 = data_sha256
        self.checkpoint_every_s = checkpoint_every_s
        self.sums = TermSums(fabric.device)
        self.progress = Progress()
        self.sessions: list[dict[str, Any]] = []
        self.meter = UsageMeter(fabric.device)
        self.mlflow_run_id: str | None = None

    def resume(self) -> list[Record]:
        """Continue from the newest whole checkpoint; returns the records it holds.

        Raises:
            UserError: as `CheckpointFolder.load` and `take_over`.
        """
        if self.fabric.is_global_zero:
            remove_partials(self.checkpoints.folder)
            take_over(self.checkpoints, self.config, self.data_sha256)
            self.checkpoints.say_others()
        checkpoint = self.checkpoints.load()
        if checkpoint is None:
            return []
        self.method.load_state_dict(checkpoint.method)
        for name, optimiser in self.method.optimisers.items():
            optimiser.load_state_dict(checkpoint.optimisers[name])
        self.average.restore(checkpoint.average)
        self.sums.restore(checkpoint.sums)
        self.progress = Progress(
            checkpoint.iteration,
            checkpoint.best_iteration,
            checkpoint.best_dice,
            checkpoint.best_method,
            checkpoint.seconds,
        )
        self.records = checkpoint.records
        self.frames = checkpoint.frames
        self.sessions = checkpoint.sessions
        self.mlflow_run_id = checkpoint.mlflow_run_id
        if self.fabric.is_global_zero:
            print(f"resumed at iteration {checkpoint.iteration}", flush=True)
        return list(self.records)

    def run(
        self,
        batches: TrainingBatches,
        valid: Validation,
        *,
        n_workers: int,
        on_record: Callable[[Record], None],
    ) -> None:
        """Train to the end; `on_record` is told each new line of the history."""
        training = self.config.training
        self._clock = time.monotonic()
        self._saved_at = self._clock
        if not self.records:
            self._keep(valid, on_record)
        loader = make_loader(
            batches,
            self.progress.iteration,
            training.iterations,
            n_workers=n_workers,
        )
        bar = tqdm(
            loader,
            total=training.iterations,
            initial=self.progress.iteration,
            desc=self.config.method,
            disable=None if self.fabric.is_global_zero else True,
            unit="it",
        )
        for batch in bar:
            self._step(batch)
            if self.progress.iteration % training.validate_every == 0 or self.is_done:
                self._keep(valid, on_record)
            elif time.monotonic() - self._saved_at > self.checkpoint_every_s:
                self._keep(None, on_record)

    @property
    def is_done(self) -> bool:
        """Whether every iteration has been done."""
        return self.progress.iteration == self.config.training.iterations

    def _step(self, batch: Batch) -> None:
        generator = self.update.generator
        generator.manual_seed(_seed(self.config.init_seed, self.progress.iteration))
        if self.config.augmentation is None:
            batch = batch.clip_()
        else:
            batch = augment_batch(
                batch,
                self.config.augmentation,
                generator=generator,
                neighbours=self.config.neighbours,
            )
        self.method.train()
        self.rates.set(self.progress.iteration)
        # Every process draws and augments the joint batch, so that it does not depend on their
        # number, and trains on its share.
        terms, stage = {}, self.method.stage(self.progress.iteration)
        if not self.method.is_idle(len(batch.y), self.progress.iteration):
            terms = joint_mean(self.update(_share_of(batch), self.progress.iteration))
        self.progress.iteration += 1
        self.average.add(self.method, self.progress.iteration - stage)
        if terms:
            self.sums.add(self.progress.iteration, terms)

    def _keep(self, valid: Validation | None, on_record: Callable[[Record], None]) -> None:
        """Write a checkpoint, after a validation if there is something to validate on."""
        self._check()
        # Of the processes that share a training the first one keeps the books.
        if not self.fabric.is_global_zero:
            if valid is not None:
                self.sums.means()  # starts the next sums, as the first process does
            return
        if valid is not None:
            on_record(self._validate(valid))
        self._save()

    def _validate(self, valid: Validation) -> Record:
        """Score the validation fold, keep the best weights, make the history's next record."""
        with self.average.in_place(self.method):
            scores = validate(self.method.eval(), valid.segmented)
            n_channels = len(self.config.definition.channels)
            scores |= measure_translation(
                self.method, valid.present, valid.absent, n_channels=n_channels
            )
            self._keep_the_best(scores["dice_soft_pooled"])
            self._keep_frame(valid.drawn)
        progress = self.progress
        record = {"iteration": progress.iteration, "train": self.sums.means(), "valid": scores}
        as_line(record)  # refuses NaN now, not at the end
        self.records.append(record)
        if not sys.stderr.isatty():
            print(_plain_line(record), flush=True)
        return record

    def _keep_the_best(self, dice: float) -> None:
        progress = self.progress
        if dice > progress.best_dice:
            progress.best_dice = dice
            progress.best_iteration = progress.iteration
            progress.best_method = self._state()

    def _keep_frame(self, drawn: Batches) -> None:
        if not (is_kept(len(self.records)) or self.is_done):
            return
        for x_P, mask in drawn:
            if frame := make_frame(self.method, x_P, self.progress.iteration, mask):
                self.frames.append(frame)

    def last_state(self) -> dict[str, Tensor]:
        """The method's state_dict on the CPU, with averaged weights where they are averaged."""
        with self.average.in_place(self.method):
            return self._state()

    def _state(self) -> dict[str, Tensor]:
        state = self.method.state_dict()
        return {name: tensor.to("cpu", copy=True) for name, tensor in state.items()}

    def _save(self) -> None:
        now = time.monotonic()
        self.progress.seconds += now - self._clock
        self._clock = self._saved_at = now
        if self.sessions:
            self.sessions[-1]["usage"] = self.meter.read()
        self.checkpoints.save(
            Checkpoint(
                identity=self.config.identity,
                data_sha256=self.data_sha256,
                iteration=self.progress.iteration,
                method=self.method.state_dict(),
                optimisers={n: o.state_dict() for n, o in self.method.optimisers.items()},
                average=self.average.weights,
                sums=self.sums.state(),
                records=self.records,
                best_iteration=self.progress.best_iteration,
                best_dice=self.progress.best_dice,
                best_method=self.progress.best_method,
                seconds=self.progress.seconds,
                sessions=self.sessions,
                mlflow_run_id=self.mlflow_run_id,
                frames=self.frames,
            )
        )

    def _check(self) -> None:
        """Nothing is validated or kept that is not finite."""
        self.sums.check()
        for name, tensor in self.method.state_dict().items():
            if not bool(tensor.isfinite().all()):
                raise UserError(
                    f"iteration {self.progress.iteration}: the weights {name} became NaN or "
                    "infinite; training stopped, the last good checkpoint is kept; try a lower "
                    "learning rate or fp32"
                )


def _share_of(batch: Batch) -> Batch:
    """This process's share of a joint batch; every process gets as many masks."""
    n = n_processes()
    if n == 1:
        return batch
    masks = batch.y.new_full((-len(batch.y) % n, *batch.y.shape[1:]), VOID)
    return replace(batch, y=torch.cat([batch.y, masks])).each(share)


def _seed(init_seed: int, iteration: int) -> int:
    """A seed for the codes sampled in one iteration: a resumed run samples the same."""
    sequence = np.random.SeedSequence((init_seed, iteration))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def _plain_line(record: Record) -> str:
    """What a log shows instead of a progress bar."""
    train = " ".join(f"{name}={mean:.4g}" for name, mean in record["train"].items())
    dice = record["valid"]["dice_soft_pooled"]
    return f"iteration {record['iteration']}: valid dice {dice:.4f} {train}".rstrip()
