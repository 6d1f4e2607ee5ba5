"""Stacks of neighbouring slices as channels: the slice in the middle."""

from torch import Tensor


def middle(stack: Tensor, n_channels: int) -> Tensor:
    """The slice in the middle, (N, C, H, W), of stacks (N, (2r + 1) C, H, W): a view."""
    if stack.shape[1] == n_channels:
        return stack
    return stack.narrow(1, (stack.shape[1] - n_channels) // 2, n_channels)
