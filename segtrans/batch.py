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
            `segtrans.tasks.base.VOID` stands where nothing is known. Of several pathologies bit k
            is that of pathology k.
        t: of several pathologies: (N, K) uint8, whether each image of `present` shows each: 1, 0,
            or `VOID` where that is not known; None: all show what there is to show.
        has_mask: (N, K) uint8, whether a labelled image's mask says where each is; goes with t.
    """

    images: dict[str, Tensor]
    y: Tensor
    t: Tensor | None = None
    has_mask: Tensor | None = None

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
        known = () if self.t is None else (self.t.shape,)
        return (*(images.shape for images in self.images.values()), self.y.shape, *known)

    def each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with every tensor changed."""
        changed = {domain: change(images) for domain, images in self.images.items()}
        known = (None if of is None else change(of) for of in (self.t, self.has_mask))
        return Batch(changed, change(self.y), *known)

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
        for own, of in ((self.t, other.t), (self.has_mask, other.has_mask)):
            if own is not None and of is not None:
                own.copy_(of)

    def clip_(self) -> "Batch":
        """The batch with its images clipped to [-1, 1] in place, as networks see them."""
        for images in self.images.values():
            images.clamp_(-1, 1)
        return self

    def pin_memory(self) -> "Batch":
        """Called by the loader, so that copies to a device do not wait."""
        return self.each(Tensor.pin_memory)
