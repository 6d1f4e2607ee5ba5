"""Run parts, and show their lines as a table or as plain types."""

import importlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from tabulate import tabulate  # type: ignore[import-untyped]

from benchmarks.lines import Line


def run_parts(parts: Sequence[str]) -> tuple[list[Line], dict[str, str]]:
    """Measure one part after the other, each in a process of its own.

    So no part inherits another's threads, caches or peak memory, and one that dies takes no other
    with it. What comes is shown on standard error.

    Returns:
        The lines, and for each part that could not run to its end, why.
    """
    lines: list[Line] = []
    failures: dict[str, str] = {}
    for number, part in enumerate(parts, start=1):
        print(f"[{number}/{len(parts)}] {part}", file=sys.stderr, flush=True)
        measured, reason = _run_part(part)
        lines += measured
        if reason is not None:
            failures[part] = reason
            print(f"  could not run: {reason}", file=sys.stderr, flush=True)
    return lines, failures


def _run_part(part: str) -> tuple[list[Line], str | None]:
    """The lines of a part, and why there are no more of them."""
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_lines, args=(part, sender))
    process.start()
    sender.close()
    lines: list[Line] = []
    reason: str | None = None
    try:
        while isinstance(message := receiver.recv(), Line):
            print("  " + "  ".join(_cells(message)[1:4]), file=sys.stderr, flush=True)
            lines.append(message)
        reason = message
    except EOFError:
        reason = "its process was killed"
    process.join()
    return lines, reason


def _send_lines(part: str, sender: "Connection[Line | str | None, None]") -> None:
    """In the part's own process: send each line, then None, or why there are no more."""
    try:
        for line in importlib.import_module(f"benchmarks.{part}").lines():
            sender.send(line)
    except Exception as error:  # whatever it is, the other parts still run
        sender.send(f"{type(error).__name__}: {error}")
    else:
        sender.send(None)


def table(lines: Iterable[Line]) -> str:
    """The table in Markdown."""
    headers = ["part", "case", "measured", "floor", "times the floor", "the floor is"]
    align = ("left", "left", "right", "right", "right", "left")
    rows = [_cells(line) for line in lines]
    if not rows:
        return "nothing was measured"
    return str(tabulate(rows, headers, tablefmt="github", colalign=align, disable_numparse=True))


def plain(line: Line) -> dict[str, Any]:
    """A line for the JSON."""
    return asdict(line) | {"ratio": line.ratio}


def _cells(line: Line) -> list[str]:
    floor = "" if line.floor is None else _number(line.floor)
    ratio = "" if line.ratio is None else _number(line.ratio)
    measured = f"{_number(line.value)} {line.unit}"
    return [line.part, line.case, measured, floor, ratio, line.floor_is]


def _number(value: float) -> str:
    """Three figures, or a whole number."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
