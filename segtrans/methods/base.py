"""What every method is to the training loop and to the evaluation."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam, Optimizer

from segtrans.batch import Batch
from segtrans.config.blocks import TrainingParams
from segtrans.config.run_config import RunConfig
from segtrans.nets.decoder import Trunk
from segtrans.nets.discriminator import MultiScaleDiscriminator
from segtrans.nets.encoder import Encoder
from segtrans.nets.tables import ARCHITECTURES, Architecture
from segtrans.precision import at_least_single
from segtrans.processes import average_gradients

Terms = dict[str, Tensor]


class Engine(Protocol):
    """What an update needs of the precision handling; Lightning Fabric has both."""

    def autocast(self) -> AbstractContextManager[Any]:
        """Forward passes inside run in the chosen precision."""
        ...

    def backward(self, tensor: Tensor) -> None:
        """Accumulate gradients of a scalar."""
        ...


class PlainEngine:
    """An engine for updates outside of a training: full precision, whatever the device."""

    def autocast(self) -> AbstractContextManager[None]:
        """Changes nothing."""
        return nullcontext()

    def backward(self, tensor: Tensor) -> None:
        """Accumulate gradients of a scalar."""
        tensor.backward()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Step:
    """What an update has besides its batch.

    Attributes:
        engine: precision and backward.
        generator: on the images' device; every random number is drawn from it.
        iteration: number of the update, from 0: 0-d float32, on the images' device, so that what
            depends on it can be recorded and repeated on a GPU.
        stage: `Method.stage` of the iteration: known to the host.
    """

    engine: Engine
    generator: torch.Generator
    iteration: Tensor
    stage: int = 0


def plain_step(generator: torch.Generator, iteration: int = 0, stage: int = 0) -> Step:
    """A step outside of a training, in full precision, on the generator's device."""
    time = torch.full((), float(iteration), device=generator.device)
    return Step(PlainEngine(), generator, time, stage)


class Method(nn.Module, ABC):
    """Networks, their optimisers and one training update.

    Attributes:
        optimisers: by name.
        is_replayable: whether updates on batches of one shape are the same operations throughout
            a stage, with nothing counted or chosen by the host, so that a GPU may record one and
            repeat it.
    """

    optimisers: dict[str, Optimizer]
    is_replayable: bool = False

    @abstractmethod
    def update(self, batch: Batch, step: Step) -> Terms:
        """Train on one batch.

        Args:
            batch: images in [-1, 1] by domain, masks of the first images of `present`.
            step: precision, randomness and time.

        Returns:
            Each term of the objective by its own name, unweighted, and `total`: 0-d, detached,
            still on the device.
        """

    def stage(self, iteration: int) -> int:
        """First iteration of the part of the training that an iteration, from 0, belongs to.

        Each part trains networks of its own, by other operations; most methods have one.
        """
        return 0

    def is_idle(self, n_labelled: int, iteration: int) -> bool:
        """Whether an update would have no term: it is left out, or weight decay alone would step.

        Args:
            n_labelled: masks in the joint batch.
            iteration: from 0.
        """
        return False

    @abstractmethod
    def segment(self, x: Tensor) -> Tensor:
        """Probabilities (N, K, H, W) in [0, 1] of images (N, C, H, W); K is 1 for one class."""

    @abstractmethod
    def make_optimisers(self, training: TrainingParams) -> dict[str, Optimizer]:
        """The optimisers by name, in a fixed order."""

    def prepare(self, training: TrainingParams) -> None:
        """Make the optimisers, once the networks are on their device."""
        self.optimisers = self.make_optimisers(training)

    def compile_networks(self, backend: str = "inductor") -> None:
        """Let `torch.compile` make the forward passes of encoder, decoders and discriminators.

        Updates are then launched one by one: recording them was not seen to work together with it.
        """
        self.is_replayable = False
        for module in self.modules():
            if isinstance(module, Encoder | Trunk | MultiScaleDiscriminator):
                module.compile(backend=backend, dynamic=False)


def tables_of(config: RunConfig) -> Architecture:
    """The channel counts of a run's networks."""
    networks, task = config.networks, config.definition
    tables = replace(ARCHITECTURES[task.architecture], n_dimensions=len(task.image_size))
    return tables.scaled(networks.width, networks.min_channels)


def amsgrad(
    parameters: Iterable[nn.Parameter], *, rate: float, training: TrainingParams
) -> Optimizer:
    """AMSGrad with betas 0.5 and 0.999 (appendix A). Fused: no scalar is read back in a step.

    Processes that share a training average their gradients before each step.
    """
    optimiser = Adam(
        parameters,
        lr=rate,
        betas=(0.5, 0.999),
        weight_decay=training.weight_decay,
        amsgrad=True,
        fused=True,
    )
    optimiser.register_step_pre_hook(lambda stepping, *_: average_gradients(_parameters(stepping)))
    return optimiser


def _parameters(optimiser: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def probabilities(logits: Tensor) -> Tensor:
    """Sigmoid for one class, softmax over (N, K, H, W) for more, in float32."""
    logits = at_least_single(logits)
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)


def known(maps: Tensor, n_labelled: int, n_absent: int) -> Tensor:
    """Of maps (N, ...) of P and A together: the first `n_labelled` and the last `n_absent`."""
    if n_absent == 0:
        return maps[:n_labelled]
    return torch.cat([maps[:n_labelled], maps[-n_absent:]])


def with_empty(y: Tensor, n_absent: int) -> Tensor:
    """Masks (L, ...), and below them an empty one for each of `n_absent` images of A."""
    return F.pad(y, (*(0, 0) * (y.ndim - 1), 0, n_absent))


def detached(terms: Terms) -> Terms:
    """The terms without their graph, for logging."""
    return {name: value.detach() for name, value in terms.items()}
