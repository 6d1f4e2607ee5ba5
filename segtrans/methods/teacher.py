"""A teacher: a copy of a network that follows it and is never trained by itself."""

import copy
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from segtrans.config.run_config import RunConfig
from segtrans.methods.base import Step, Terms
from segtrans.methods.semi_supervised import SemiSupervised

_Network = TypeVar("_Network", bound=nn.Module)

# Of the training at most: an average over 100 iterations is one of the newest weights in the
# 30,000 of the publications, and would be one of all weights in 150.
_LONGEST_MEMORY = 0.1


def teacher_of(student: _Network) -> _Network:
    """A copy of a network, with its weights, that no optimiser and no average takes in."""
    # Tensors without values, of which costs are counted, do not like to be copied deeply.
    copies: dict[int, object] = {id(b): b.clone() for b in student.buffers()}
    for parameter in student.parameters():
        copies[id(parameter)] = nn.Parameter(parameter.detach().clone(), requires_grad=False)
    return copy.deepcopy(student, copies)


def kept_share(iteration: Tensor, *, decay: float, n_iterations: int) -> Tensor:
    """What a teacher keeps of itself after update t: min(1 - 1 / (t + 1), decay), 0-d float32.

    Tarvainen and Valpola 2017 (arXiv 1703.01780), section 3.3 and their code. A decay that
    remembers more than a tenth of a short training is lowered to that.

    Args:
        iteration: t, from 0: 0-d, on the device.
        decay: as published.
        n_iterations: of the training.
    """
    longest = _LONGEST_MEMORY * n_iterations
    decay = min(decay, max(0.0, 1 - 1 / longest))
    return (1 - 1 / (iteration + 1)).clamp(max=decay)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, kept: Tensor) -> None:
    """Make the teacher kept * teacher + (1 - kept) * student, in place; its buffers stay.

    Args:
        teacher: of `teacher_of`; it may lack parts of the student.
        student: just updated.
        kept: share in [0, 1], 0-d, on the device; 0 copies and 1 changes nothing, both exactly.
    """
    of_student = dict(student.named_parameters())
    names, of_teacher = zip(*teacher.named_parameters(), strict=True)
    newest = torch._foreach_mul([of_student[name] for name in names], 1 - kept)
    torch._foreach_mul_(list(of_teacher), kept)
    torch._foreach_add_(list(of_teacher), newest)


class Taught(SemiSupervised):
    """A student with a teacher that follows it after every update, and is scored.

    Attributes:
        decay: what the teacher keeps of itself in each update, as published.
    """

    decay: ClassVar[float]

    def __init__(self, config: RunConfig, generator: torch.Generator) -> None:
        super().__init__(config, generator)
        self.teacher = teacher_of(self.network)

    def descend(self, terms: Terms, step: Step) -> None:
        """As `SemiSupervised.descend`; then the teacher follows."""
        super().descend(terms, step)
        kept = kept_share(step.iteration, decay=self.decay, n_iterations=self.n_iterations)
        follow(self.teacher, self.network, kept)

    @property
    def scored(self) -> nn.Module:
        """The teacher."""
        return self.teacher
