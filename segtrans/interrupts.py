"""Ends of a process that those it has started do not outlive."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def endings_interrupt() -> Iterator[None]:
    """Inside the block SIGTERM and the end of the terminal raise KeyboardInterrupt, as Ctrl-C does.

    What is ignored stays so: nohup is to outlive its terminal.
    """
    handled = [ending for ending in _ENDINGS if signal.getsignal(ending) != signal.SIG_IGN]
    before = {ending: signal.signal(ending, _interrupt) for ending in handled}
    try:
        yield
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)


def end_group(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """End a process that leads a group, and all in it, and wait until it has cleared up."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.communicate()  # reads on: none hangs at a full pipe


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
