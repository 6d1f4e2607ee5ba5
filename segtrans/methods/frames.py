"""The same few validation images along a training: how it comes to translate, to be drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segtrans.atomic import atomic_path
from segtrans.errors import UserError
from segtrans.methods.inference import Translates, device_of, lesion_probability
from segtrans.stacks import middle
from segtrans.tasks.base import VOID

FILE = "frames.npz"  # in a run folder
N_IMAGES = 4

# One validation, as a checkpoint keeps it: its iteration; x_PA (n, C, H, W) and y_seg (n, H, W),
# uint8.
Frame = Mapping[str, Any]


@dataclass(frozen=True)
class Frames:
    """What a run folder keeps.

    Attributes:
        x: (n, C, H, W) uint8, images of P: 0 is -1, 255 is 1.
        y: (n, H, W) uint8, their masks as stored.
        iterations: (m,) of each frame.
        x_PA: (m, n, C, H, W) uint8, as x, without the target.
        y_seg: (m, n, H, W) uint8, probability of a target: 255 is 1.
    """

    x: NDArray[np.uint8]
    y: NDArray[np.uint8]
    iterations: NDArray[np.int64]
    x_PA: NDArray[np.uint8]
    y_seg: NDArray[np.uint8]

    @classmethod
    def of(cls, x_P: Tensor, mask: Tensor, frames: Sequence[Frame]) -> Self:
        """Frames of images (n, C, H, W) in [-1, 1], or their stacks, with masks (n, H, W).

        Of volumes, with an axis more, a slice.
        """
        n_channels = frames[0]["x_PA"].shape[1]
        return cls(
            x=_as_bytes(drawn(middle(x_P, n_channels), mask), -1.0).numpy(),
            y=drawn(mask, mask).numpy(),
            iterations=np.array([frame["iteration"] for frame in frames], dtype=np.int64),
            x_PA=np.stack([frame["x_PA"].numpy() for frame in frames]),
            y_seg=np.stack([frame["y_seg"].numpy() for frame in frames]),
        )

    @classmethod
    def read(cls, file: Path) -> Self:
        """What `write` wrote.

        Raises:
            UserError: the file is damaged.
        """
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as content:
                return cls(**content)
        except Exception as error:  # ZIP, NumPy and the disk have each their own
            raise UserError(
                f"{file}: damaged; train the run again, or remove this file to do without "
                "progress.png"
            ) from error

    def write(self, file: Path) -> None:
        """Write them, atomically; the same frames give the same bytes."""
        with atomic_path(file) as temporary:
            np.savez_compressed(temporary, **vars(self))


def is_kept(validation: int) -> bool:
    """Whether a validation, counted from 0, gives a frame: 0, 1, 2, 4, 8 and so on."""
    return validation & (validation - 1) == 0


@torch.no_grad()
def make_frame(
    method: nn.Module, x_P: Tensor, iteration: int, mask: Tensor | None = None
) -> Frame | None:
    """What a method, in evaluation mode, makes of images of P now; None if it cannot translate.

    Args:
        method: of any kind.
        x_P: (n, C, H, W) in [-1, 1], or their stacks; or volumes, of which a slice is kept.
        iteration: iterations done.
        mask: of volumes: says which slice.
    """
    if not isinstance(method, Translates):
        return None
    x_PA, _ = method.remove(x_P.to(device_of(method)))
    return {
        "iteration": iteration,
        "x_PA": _as_bytes(drawn(x_PA, mask), -1.0),
        "y_seg": _as_bytes(drawn(lesion_probability(method, x_P), mask), 0.0),
    }


def drawn(x: Tensor, mask: Tensor | None) -> Tensor:
    """Images or maps as they are; of volumes the slice with the most target, over all of them.

    Args:
        x: (n, C, ...) or (n, ...).
        mask: (n, H, W), or of volumes (n, D, H, W).
    """
    if mask is None or mask.ndim == 3:
        return x
    is_target = (mask > 0) & (mask != VOID)
    return x.select(-3, int(is_target.sum(dim=(0, 2, 3)).argmax()))


def _as_bytes(values: Tensor, low: float) -> Tensor:
    """Values from low to 1 as 0 to 255, on the CPU."""
    share = (values.float() - low) / (1.0 - low)
    return (share.clamp(0, 1) * 255).round().to(torch.uint8).cpu()
