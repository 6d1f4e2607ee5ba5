"""How far trainings are, read from their logs while Snakemake runs them."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_LINE = re.compile(r"iteration (\d+): valid dice ([\d.]+)")
_RESUMED = re.compile(r"resumed at iteration (\d+)")
_POLL_S = 1.0
_LEAST_S = 10.0  # between two lines about one training


@dataclass
class _Training:
    """One training, and how far its log was read.

    Attributes:
        name: what it is called.
        log: its file, which the training begins anew; there may be an old one until then.
        since: when it began, in seconds since 1970.
        iteration: that it began with.
        read: bytes of the log.
        said: when something was last said, in seconds since 1970.
    """

    name: str
    log: Path
    since: float = field(default_factory=time.time)
    iteration: int = 0
    read: int = 0
    said: float = 0.0

    def news(self, n_iterations: int) -> Iterator[str]:
        """What the last whole line of the log says, where it is new and not too soon."""
        if not self.log.exists() or self.log.stat().st_mtime < self.since:
            return
        content = self.log.read_bytes()
        new = content[self.read : content.rfind(b"\n") + 1].decode(errors="replace")
        if resumed := _RESUMED.search(new):
            self.iteration = int(resumed[1])
        found = _LINE.findall(new)
        now = time.time()
        if not found or (now - self.said < _LEAST_S and int(found[-1][0]) < n_iterations):
            return
        self.read += len(new.encode())
        self.said = now
        iteration, dice = int(found[-1][0]), float(found[-1][1])
        yield (
            f"{self.name}: iteration {iteration:,} of {n_iterations:,}, validation Dice {dice:.2f}"
            f"{self._time_left(iteration, n_iterations, now)}"
        )

    def _time_left(self, iteration: int, n_iterations: int, now: float) -> str:
        done, left = iteration - self.iteration, n_iterations - iteration
        if not left or done <= 0:
            return ""
        minutes = (now - self.since) / done * left / 60
        return ", less than a minute left" if minutes < 1 else f", about {minutes:.0f} min left"


class Trainings:
    """The trainings of a run of `segtrans fit`."""

    def __init__(self, n_iterations: int) -> None:
        self._n_iterations = n_iterations
        self._all: list[_Training] = []

    def add(self, name: str, log: Path) -> None:
        """A training that begins now."""
        self._all.append(_Training(name, log))

    @contextmanager
    def told(self, say: Callable[[str], None]) -> Iterator[None]:
        """Inside the block a thread says what is new, a line each."""
        done = threading.Event()

        def follow() -> None:
            is_last = False
            while not is_last:
                is_last = done.wait(_POLL_S)
                for training in list(self._all):
                    for line in training.news(self._n_iterations):
                        say(line)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
