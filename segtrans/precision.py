"""Mixed precision: networks may run in half precision, what is made of their outputs does not."""

import torch
from torch import Tensor


def at_least_single(x: Tensor) -> Tensor:
    """float16 and bfloat16 as float32; float32 and float64 as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
