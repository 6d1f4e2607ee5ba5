"""Stacks of neighbouring slices as channels: the slice in the middle, and another in its place."""

import torch
from torch import Tensor


def middle(stack: Tensor, n_channels: int) -> Tensor:
    """The slice in the middle, (N, C, H, W), of stacks (N, (2r + 1) C, H, W): a view."""
    if stack.shape[1] == n_channels:
        return stack
    return stack.narrow(1, (stack.shape[1] - n_channels) // 2, n_channels)


def with_middle(stack: Tensor, image: Tensor) -> Tensor:
    """Stacks with images (N, C, H, W) in the middle, their neighbours as they are."""
    n_beside = (stack.shape[1] - image.shape[1]) // 2
    if n_beside == 0:
        return image
    return torch.cat([stack[:, :n_beside], image, stack[:, -n_beside:]], dim=1)
