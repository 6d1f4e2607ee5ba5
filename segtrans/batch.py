"""What a training update is given: images by domain, and masks where there are any."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Images of every domain, and masks of the labelled ones.

    Attributes:
        images: by domain, (N, C, H, W) float32 each; labelled images of `present` come first.
        y: class labels of the first L images of `present`, (L, H, W) uint8; L may be 0, and
            `segtrans.tasks.base.VOID` stands where nothing is known.
    """

    images: dict[str, Tensor]
    y: Tensor

    @classmethod
    def of(cls, x_P: Tensor, x_A: Tensor, y: Tensor) -> "Batch":
        """The paper's two domains."""
        return cls({"present": x_P, "absent": x_A}, y)

    @property
    def x_P(self) -> Tensor:
        """Presence images."""
        return self.images["present"]

    @property
    def x_A(self) -> Tensor:
        """Absence images."""
        return self.images["absent"]

    @property
    def shapes(self) -> tuple[torch.Size, ...]:
        """Of all tensors: equal for batches that are of one kind."""
        return (*(images.shape for images in self.images.values()), self.y.shape)

    def each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with every tensor changed."""
        changed = {domain: change(images) for domain, images in self.images.items()}
        return Batch(changed, change(self.y))

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device; from pinned memory the copy does not wait."""
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))

    def clone(self) -> "Batch":
        """A copy in memory of its own."""
        return self.each(Tensor.clone)

    def copy_(self, other: "Batch") -> None:
        """Take over another batch's values, of the same shapes."""
        for domain, images in self.images.items():
            images.copy_(other.images[domain])
        self.y.copy_(other.y)

    def clip_(self) -> "Batch":
        """The batch with its images clipped to [-1, 1] in place, as networks see them."""
        for images in self.images.values():
            images.clamp_(-1, 1)
        return self

    def pin_memory(self) -> "Batch":
        """Called by the loader, so that copies to a device do not wait."""
        return self.each(Tensor.pin_memory)
