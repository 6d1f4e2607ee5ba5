"""One measured figure with its floor, and how times are taken."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table.

    Attributes:
        part: which part measured it.
        case: what was measured, in which setting.
        value: the figure.
        unit: of the figure and its floor; a rate ends in "/s".
        floor: what the machine could do at best; None where there is no such thing.
        floor_is: the floor in words.
    """

    part: str
    case: str
    value: float
    unit: str
    floor: float | None = None
    floor_is: str = ""

    @property
    def ratio(self) -> float | None:
        """Times the floor: 1 is the best possible, 2 takes twice as long or as much."""
        if not self.floor:
            return None
        is_rate = self.unit.endswith("/s")
        return self.floor / self.value if is_rate else self.value / self.floor


def best_seconds(function: Callable[[], object], *, repeats: int) -> float:
    """Seconds of the best of several runs: the one that other programs held up least."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def best_by_turns(functions: Sequence[Callable[[], object]], *, repeats: int) -> list[float]:
    """CPU seconds of the best run of each, taken by turns: what slows one slows the others."""
    best = [float("inf")] * len(functions)
    for _ in range(repeats):
        for i, function in enumerate(functions):
            start = time.process_time()
            function()
            best[i] = min(best[i], time.process_time() - start)
    return best


def use_one_core() -> None:
    """Keep this process on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
