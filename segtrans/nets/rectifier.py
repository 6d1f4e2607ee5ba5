"""ReLU and padding as one: between a norm and a convolution only what convolves is kept."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Amounts = tuple[int, ...]
_PADDING_BACKWARD = {  # by number of axes
    "reflect": {
        2: torch.ops.aten.reflection_pad2d_backward,
        3: torch.ops.aten.reflection_pad3d_backward,
    },
    "replicate": {
        2: torch.ops.aten.replication_pad2d_backward,
        3: torch.ops.aten.replication_pad3d_backward,
    },
}


def rectified(x: Tensor, amounts: Amounts, mode: str = "reflect", *, slope: float = 0.0) -> Tensor:
    """`F.pad(F.leaky_relu(x, slope), amounts, mode)`.

    Autograd would keep what it pads beside what it made of it, and the ReLU's result beside both.
    All that the way back asks of them is where the result is positive, which the padded maps tell;
    and these are kept anyway, by the convolution that reads them.

    Args:
        x: normalised maps, (N, C, H, W) or (N, C, D, H, W).
        amounts: pixels before and after, of the last axis first; all may be 0.
        mode: reflect or replicate.
        slope: of negative values; 0 is ReLU.
    """
    y: Tensor = _Rectified.apply(x, amounts, mode, slope)  # type: ignore[no-untyped-call]
    return y


class _Rectified(torch.autograd.Function):
    """`rectified`, of which the result alone is kept for the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, amounts: Amounts, mode: str, slope: float) -> Tensor:
        y = F.pad(x, amounts, mode=mode) if any(amounts) else x.clone()
        y = F.leaky_relu_(y, slope) if slope else y.relu_()
        ctx.save_for_backward(y)
        ctx.options = amounts, mode, slope
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """The padding's gradient, then the ReLU's where the result was positive."""
        (y,), (amounts, mode, slope) = ctx.saved_tensors, ctx.options
        (gradient,) = gradients
        if any(amounts):
            sides = zip(amounts[::2], amounts[1::2], y.shape[:1:-1], strict=True)
            inside = [slice(before, size - after) for before, after, size in sides]
            y = y[(..., *reversed(inside))]
            gradient = _PADDING_BACKWARD[mode][len(inside)](gradient, y, amounts)
        else:
            gradient = gradient.clone()
        # In place, for the gradient of the padded maps is kept until this returns.
        aten = torch.ops.aten
        if slope:
            aten.leaky_relu_backward(gradient, y, slope, True, grad_input=gradient)
        else:
            aten.threshold_backward(gradient, y, 0, grad_input=gradient)
        return gradient, None, None, None
