"""Run a trained method on images, whatever its kind and device."""

from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segtrans.methods.asked_again import inference
from segtrans.stacks import middle

# Which codes are sampled for the drawn A to P translations; no result depends on it.
_PRIOR_SEED = 0


class Segments(Protocol):
    """Every method."""

    def segment(self, x: Tensor) -> Tensor:
        """Probabilities (N, K, H, W) of images (N, C, H, W)."""
        ...


@runtime_checkable
class Translates(Protocol):
    """A method that translates between the domains."""

    def remove(self, x_P: Tensor) -> tuple[Tensor, Tensor]:
        """Images x_PA and residuals delta_PA."""
        ...

    def insert(self, x_A: Tensor, u_prior: Tensor) -> tuple[Tensor, Tensor]:
        """Images x_AP and residuals delta_AP."""
        ...

    def sample_u(self, x_A: Tensor, generator: torch.Generator) -> Tensor:
        """Unique codes from the prior for images x_A."""
        ...


@runtime_checkable
class Decomposes(Protocol):
    """A method of several pathologies, whose maps are one for each."""

    n_pathologies: int

    def decompose(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images without any pathology, and the residual of each (N, K, C, H, W)."""
        ...


@runtime_checkable
class Reconstructs(Protocol):
    """A method that reconstructs its input."""

    def reconstruct(self, x: Tensor) -> Tensor:
        """Images like x."""
        ...


@dataclass(frozen=True)
class Translation:
    """Both directions: images and residuals, (n, C, H, W) float32.

    Attributes:
        x_PA: translation of the images of P.
        delta_PA: what it took away.
        x_AP: translation of the images of A, with codes from the prior.
        delta_AP: what it added.
    """

    x_PA: NDArray[np.float32]
    delta_PA: NDArray[np.float32]
    x_AP: NDArray[np.float32]
    delta_AP: NDArray[np.float32]

    @property
    def largest(self) -> float:
        """The largest size of a residual's value; 1 when all are zero.

        One scale for both directions, or a faint residual would look as strong as the other.
        """
        return max(float(np.abs(delta).max()) for delta in (self.delta_PA, self.delta_AP)) or 1.0


@dataclass(frozen=True)
class OfPathology:
    """What a method makes of one pathology among several, of images of P.

    Attributes:
        x_without: the images without it, with all others, (n, C, H, W) float32.
        delta: its residual, (n, C, H, W) float32.
        y_seg: its probability, (n, H, W) float32 in [0, 1].
    """

    x_without: NDArray[np.float32]
    delta: NDArray[np.float32]
    y_seg: NDArray[np.float32]


@dataclass(frozen=True)
class Outputs:
    """What a method makes of images, to be drawn.

    Attributes:
        y_seg: (n, H, W) float32 in [0, 1], probability of a lesion in the images of P.
        translation: None when the method does not translate.
        reconstruction: of the images of P, (n, C, H, W) float32; None when the method translates,
            or does not reconstruct.
        of_each: of several pathologies, one after the other; none for methods of one target.
    """

    y_seg: NDArray[np.float32]
    translation: Translation | None = None
    reconstruction: NDArray[np.float32] | None = None
    of_each: tuple[OfPathology, ...] = ()

    @property
    def largest_of_each(self) -> float:
        """The largest size of a value in any pathology's residual; 1 when all are zero."""
        return max((float(np.abs(of.delta).max()) for of in self.of_each), default=0.0) or 1.0


def outputs_of(method: nn.Module, x_P: NDArray[np.float32], x_A: NDArray[np.float32]) -> Outputs:
    """Run a method on images (n, C, H, W), or stacks of them, of both domains.

    Args:
        method: in evaluation mode.
        x_P: of presence.
        x_A: of absence, unrelated to x_P.
    """
    device = device_of(method)
    present, absent = (torch.from_numpy(x).to(device) for x in (x_P, x_A))
    translation = reconstruction = None
    with inference(method):
        if isinstance(method, Translates):
            u_prior = method.sample_u(absent, torch.Generator(device).manual_seed(_PRIOR_SEED))
            inserted = method.insert(absent, u_prior)  # of what was encoded last
            tensors = (*method.remove(present), *inserted)
            translation = Translation(*map(_array_of, tensors))
        elif isinstance(method, Reconstructs):
            reconstruction = _array_of(method.reconstruct(present))
        y_seg = _array_of(lesion_probability(method, present))
        return Outputs(y_seg, translation, reconstruction, _of_each(method, present))


def _of_each(method: nn.Module, x_P: Tensor) -> tuple[OfPathology, ...]:
    if not (isinstance(method, Decomposes) and tells_apart(method)):
        return ()
    without_all, residuals = method.decompose(x_P)
    y_seg = segmented_maps(cast(nn.Module, method), x_P)
    with_all = without_all + residuals.sum(dim=1)
    return tuple(
        OfPathology(*map(_array_of, (with_all - delta, delta, y_seg[:, k])))
        for k, delta in enumerate(residuals.unbind(dim=1))
    )


def lesion_probability(method: nn.Module, x: Tensor) -> Tensor:
    """Probability that a pixel belongs to a lesion of any class.

    Args:
        method: has `segment`.
        x: images (N, C, H, W) float32, on any device.

    Returns:
        (N, H, W) in [0, 1], on the method's device: the one map of a sigmoid output, or all but
        the background (the first map) of a softmax output; of pathologies the most probable one.
    """
    return target_probability(method, segmented_maps(method, x))


def served_probability(method: nn.Module, x: Tensor) -> Tensor:
    """What a registered model gives: as `lesion_probability`, or of pathologies (N, K, H, W)."""
    return segmented_maps(method, x) if tells_apart(method) else lesion_probability(method, x)


def segmented_maps(method: nn.Module, x: Tensor) -> Tensor:
    """What a method's `segment` gives for images (N, C, H, W) on any device: (N, K, H, W)."""
    with torch.no_grad():
        return cast(Segments, method).segment(x.to(device_of(method), non_blocking=True))


def target_probability(method: nn.Module, y_seg: Tensor) -> Tensor:
    """Of maps (N, K, H, W) that a method segmented: probability of the target of any class."""
    if y_seg.shape[1] == 1:
        return y_seg[:, 0]
    return y_seg.amax(dim=1) if tells_apart(method) else 1 - y_seg[:, 0]


def tells_apart(method: nn.Module) -> bool:
    """Whether a method segments several pathologies, each by itself."""
    return isinstance(method, Decomposes) and method.n_pathologies > 1


def removal(method: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W) without any target, and what was taken out.

    Args:
        method: that translates.
        x: images, on its device.

    Returns:
        (N, C, H, W), and the residual (N, C, H, W), or those of several pathologies
        (N, K, C, H, W).
    """
    if isinstance(method, Decomposes) and tells_apart(method):
        return method.decompose(x)
    return cast(Translates, method).remove(x)


def reconstruction_errors(method: nn.Module, x: Tensor, domain: str) -> NDArray[np.float64] | None:
    """Mean absolute error of each image's reconstruction, beside that of the best constant.

    A translation reconstructs P as x_PP and A as x_AA (equations 2 and 3).

    Args:
        method: in evaluation mode.
        x: images (N, C, H, W) float32, on any device.
        domain: of the images.

    Returns:
        (N, 2): of the reconstruction, and of the median of each image and channel; None when the
        method reconstructs nothing.

    Raises:
        ValueError: a reconstruction is not a number.
    """
    x = x.to(device_of(method), non_blocking=True)
    with torch.no_grad():
        if isinstance(method, Translates):
            without, residual = method.remove(x)
            made = without + residual if domain == "present" else without
        elif isinstance(method, Reconstructs):
            made = method.reconstruct(x)
        else:
            return None
        x = middle(x, made.shape[1])
        constant = x.flatten(2).median(dim=2).values.view(*x.shape[:2], *[1] * (x.ndim - 2))
        errors = [(x - y.float()).abs().flatten(1).mean(dim=1) for y in (made, constant)]
    found: NDArray[np.float64] = torch.stack(errors, dim=1).double().cpu().numpy()
    if not np.isfinite(found).all():
        raise ValueError("a reconstruction is infinite or not a number")
    return found


def device_of(method: nn.Module) -> torch.device:
    """Where the method's weights are."""
    return next(method.parameters()).device


def _array_of(x: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = x.float().cpu().numpy()
    return array
