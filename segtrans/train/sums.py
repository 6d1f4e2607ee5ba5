"""Sums of the logged terms, kept on the device: no read-back inside a step."""

from typing import Any

import torch
from torch import Tensor

from segtrans.errors import UserError

_NEVER = 2**62  # an iteration that no run reaches


class TermSums:
    """Running sums of each term since the last validation, and where a term ceased to be finite.

    One vector holds all terms, so that a step costs a handful of operations whatever their
    number. A term may be missing from a step (`seg` of a batch without labels).
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._names: list[str] = []
        self._counts: dict[str, int] = {}
        self._sums = torch.zeros(0, device=device)
        self._first_bad = torch.zeros(0, dtype=torch.int64, device=device)

    def add(self, iteration: int, terms: dict[str, Tensor]) -> None:
        """Add the 0-d terms of one iteration."""
        self._grow([name for name in terms if name not in self._counts])
        zero = self._sums.new_zeros(())
        values = torch.stack(
            [terms[name].float() if name in terms else zero for name in self._names]
        )
        self._sums += values
        at = torch.where(values.isfinite(), _NEVER, iteration)
        self._first_bad = torch.minimum(self._first_bad, at)
        for name in terms:
            self._counts[name] += 1

    def check(self) -> None:
        """Read back whether every term stayed finite.

        Raises:
            UserError: names the iteration and the terms that became NaN or infinite first.
        """
        if not self._names:
            return
        first = self._first_bad.tolist()
        iteration = min(first)
        if iteration != _NEVER:
            names = [name for name, at in zip(self._names, first, strict=True) if at == iteration]
            raise UserError(
                f"iteration {iteration}: {', '.join(names)} became NaN or infinite; training "
                "stopped, the last good checkpoint is kept; try a lower learning rate or fp32"
            )

    def means(self) -> dict[str, float]:
        """Mean of each term over the iterations that had it; starts the next sums."""
        sums = self._sums.tolist()
        counts = self._counts
        means = {
            name: total / counts[name]
            for name, total in zip(self._names, sums, strict=True)
            if counts[name]
        }
        self._sums.zero_()
        self._counts = dict.fromkeys(self._names, 0)
        return means

    def state(self) -> dict[str, Any]:
        """Tensors and plain types for a checkpoint."""
        return {
            "names": list(self._names),
            "counts": dict(self._counts),
            "sums": self._sums.cpu().clone(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint's state."""
        self._names, self._counts = list(state["names"]), dict(state["counts"])
        self._sums = state["sums"].to(self._device)
        self._first_bad = torch.full(
            (len(self._names),), _NEVER, dtype=torch.int64, device=self._device
        )

    def _grow(self, names: list[str]) -> None:
        if not names:
            return
        self._names += names
        self._counts |= dict.fromkeys(names, 0)
        self._sums = torch.cat([self._sums, self._sums.new_zeros(len(names))])
        self._first_bad = torch.cat(
            [self._first_bad, self._first_bad.new_full((len(names),), _NEVER)]
        )
