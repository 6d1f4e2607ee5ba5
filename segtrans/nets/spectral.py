"""Spectral normalisation (reference 30 of the paper), of many weights in few operations."""

from typing import Any

import torch
from torch import Tensor

_SMALLEST_NORM = 1e-12


class Spectrum:
    """The weights of some convolutions, and the largest singular value sigma of each.

    It holds views of the tensors, so it must be made anew when these move to another device.

    Args:
        weights: (out, in, k, k) each, or (out, in, k, k, k); as matrix W it is (out, in * k * k),
            the columns in the order in which they lie in memory.
        us: left singular vectors, estimated, (out,) each.
        vs: right singular vectors, (in * k * k,) each.
    """

    def __init__(self, weights: list[Tensor], us: list[Tensor], vs: list[Tensor]) -> None:
        self.weights, self.us, self.vs = weights, us, vs
        self._matrices = [_as_it_lies(weight.detach()).flatten(1) for weight in weights]
        self._transposed = [matrix.t() for matrix in self._matrices]
        pairs = zip(us, weights, strict=True)
        self._columns = [u.view(-1, *[1] * (weight.ndim - 1)) for u, weight in pairs]
        self._rows = [_rows_like(v, weight) for v, weight in zip(vs, weights, strict=True)]

    @torch.no_grad()
    def improve(self) -> list[Tensor]:
        """One power iteration: u = W v / |W v|, then v = W' u / |W' u|, in place.

        Returns:
            sigma = u' W v of each, 0-d: the norm of W' u.
        """
        pairs = zip(self._matrices, self.vs, strict=True)
        _set_directions(self.us, [matrix.mv(v) for matrix, v in pairs])
        pairs = zip(self._transposed, self.us, strict=True)
        return _set_directions(self.vs, [matrix.mv(u) for matrix, u in pairs])

    @torch.no_grad()
    def sigmas(self) -> list[Tensor]:
        """Sigma = u' W v of each, 0-d, u and v as they are."""
        triples = zip(self.us, self._matrices, self.vs, strict=True)
        return [torch.dot(u, matrix.mv(v)) for u, matrix, v in triples]

    def normalised(self, *, update: bool) -> list[Tensor]:
        """Each weight divided by its sigma, in its own precision.

        Gradients flow through the weights, those in sigma included; u and v are constants, as in
        `torch.nn.utils.parametrizations.spectral_norm`.

        Args:
            update: improve u and v first.
        """
        if not self.weights:
            return []
        # Autocast would estimate sigma to three digits.
        with torch.autocast(self.weights[0].device.type, enabled=False):
            sigmas = self.improve() if update else self.sigmas()
            divided: tuple[Tensor, ...] = _Divide.apply(
                *self.weights, *self._columns, *self._rows, *sigmas
            )  # type: ignore[no-untyped-call]
        return list(divided)


class _Divide(torch.autograd.Function):
    """W / sigma, its gradient by hand: a step's graph would hold a dozen operations for each of 60.

    Takes all W, all u (out, 1, 1, 1), all v (1, in, k, k) and all sigma, in this order.
    """

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        n = len(tensors) // 4
        return tuple(torch._foreach_div(tensors[:n], tensors[3 * n :]))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """(G - <G, W> / sigma u v') / sigma for the gradient G of W / sigma."""
        n = len(gradients)
        saved = [ctx.saved_tensors[i * n : (i + 1) * n] for i in range(4)]
        asked = [i for i, gradient in enumerate(gradients) if gradient is not None]
        of_weights: list[Tensor | None] = [None] * n
        if asked:
            given = [gradient for gradient in gradients if gradient is not None]
            weights, us, vs, sigmas = ([tensors[i] for i in asked] for tensors in saved)
            inner = [product.sum() for product in torch._foreach_mul(given, weights)]
            scaled = torch._foreach_mul(us, torch._foreach_div(inner, sigmas))
            results = torch._foreach_addcmul(given, scaled, vs, value=-1)
            torch._foreach_div_(results, sigmas)
            for i, result in zip(asked, results, strict=True):
                of_weights[i] = result
        return (*of_weights, *(None,) * (3 * n))


def _as_it_lies(weight: Tensor) -> Tensor:
    return weight if weight.is_contiguous() else weight.movedim(1, -1)


def _rows_like(v: Tensor, weight: Tensor) -> Tensor:
    rows = v.view(1, *_as_it_lies(weight).shape[1:])
    return rows if weight.is_contiguous() else rows.movedim(-1, 1)


def _set_directions(targets: list[Tensor], vectors: list[Tensor]) -> list[Tensor]:
    norms = list(torch._foreach_norm(vectors))
    torch._foreach_clamp_min_(norms, _SMALLEST_NORM)
    torch._foreach_copy_(targets, torch._foreach_div(vectors, norms))
    return norms
