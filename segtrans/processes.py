"""One training over several processes, each with a device and its share of every batch.

In a single process every function here is the identity, so that networks, losses and methods need
not know how many there are.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


def n_processes() -> int:
    """How many processes share this training."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def share(rows: Tensor) -> Tensor:
    """This process's rows of a tensor that all processes hold: every n-th, from its own number."""
    n = n_processes()
    return rows[dist.get_rank() :: n] if n > 1 else rows


def joint_places(n: int) -> range:
    """Where this process's n rows stand among those of all processes."""
    if n_processes() == 1:
        return range(n)
    return range(dist.get_rank(), n * n_processes(), n_processes())


def joint_sum(local: Tensor) -> Tensor:
    """The sum over all processes, with its gradient."""
    if n_processes() == 1:
        return local
    total: Tensor = _JointSum.apply(local)  # type: ignore[no-untyped-call]
    return total


def joint_mean(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """The mean over all processes of 0-d tensors that are known by the same names in each."""
    if n_processes() == 1 or not terms:
        return terms
    values = torch.stack([value.float() for value in terms.values()])
    dist.all_reduce(values)
    return dict(zip(terms, (values / n_processes()).unbind(), strict=True))


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace the gradients by their means over all processes, in one exchange."""
    if n_processes() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    joint = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(joint)
    joint /= n_processes()
    sizes = [gradient.numel() for gradient in gradients]
    for gradient, mean in zip(gradients, torch.split(joint, sizes), strict=True):
        gradient.copy_(mean.view_as(gradient))


class _JointSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        total = local.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # Each process has a loss of its own that depends on this one's part.
        gradient = gradients[0].clone()
        dist.all_reduce(gradient)
        return gradient
