"""Whether weights with a spectral norm have one: by an independent decomposition."""

import numpy as np
from torch import nn

from segtrans.nets.convolution import Convolution


def largest_singular_values(network: nn.Module) -> dict[str, float]:
    """Of every weight that convolves, where it has a spectral norm; as NumPy has them."""
    return {
        key: np.linalg.norm(module.current_weight().detach().flatten(1).numpy(), 2)
        for key, module in network.named_modules()
        if isinstance(module, Convolution) and module.spectral_norm
    }
