"""`python -m benchmarks [PART ...]`: measure, print one table, write one JSON."""

import sys
from pathlib import Path
from typing import Annotated

import typer

# Each is a module of this folder with a function `lines() -> Iterator[Line]`.
PARTS = (
    "clutter",
    "phantom",
    "half_slices",
    "augment",
    "store",
    "loading",
    "startup",
    "commands",
    "step",
    "gpu",
    "methods",
    "neighbours",
    "pathologies",
    "pictures",
    "memory",
    "growth",
)


def main(
    parts: Annotated[
        list[str] | None, typer.Argument(help=f"Of {', '.join(PARTS)}.", show_default="all")
    ] = None,
    output: Annotated[Path, typer.Option(help="The JSON to write.")] = Path("results/bench.json"),
) -> None:
    """Measure some parts or all; exit code 1 when one could not run."""
    for part in parts or ():
        if part not in PARTS:
            raise typer.BadParameter(f"{part}: allowed: {', '.join(PARTS)}")

    from benchmarks.machine import describe_machine
    from benchmarks.report import plain, run_parts, table
    from segtrans.atomic import write_json

    machine = describe_machine()
    lines, failures = run_parts(parts or PARTS)
    print(table(lines))
    content = {"machine": machine, "lines": [plain(line) for line in lines], "failures": failures}
    write_json(output, content)
    for part, reason in failures.items():
        print(f"benchmarks: error: {part} could not run: {reason}", file=sys.stderr)
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    typer.run(main)
