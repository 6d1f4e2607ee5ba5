"""What a finished scale leaves behind: its table, its pictures, and how to compare its runs."""

from pathlib import Path

from segtrans.errors import UserError
from segtrans.tasks.registry import PAPER_TASKS
from segtrans.tracking import comparison_links, untracked_line


def print_summary(results: Path) -> None:
    """Print the table of a scale, the paths of its page and pictures, and how to open MLflow.

    Args:
        results: output folder of a scale, such as results/laptop.

    Raises:
        UserError: the folder holds no table.
    """
    table = results / "table.md"
    try:
        text = table.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{table}: no finished table here ({error.strerror}); run it first"
        ) from error
    print(text)
    print(f"Table:   {table}, {table.with_suffix('.csv')}")
    print(f"Report:  {results / 'report.html'}")
    for picture in sorted(results.glob("figures/*/*.png")):
        print(f"Figure:  {picture}")
    print(f"Panels:  {results}/<task>/<row>/seed<k>/panel.png")
    tracked = sorted(path.parent.name for path in results.glob("*/tracked.json"))
    tasks = [task for task in PAPER_TASKS if task in tracked]
    tasks += [task for task in tracked if task not in PAPER_TASKS]
    for line in comparison_links(f"segtrans/{results.name}/{task}" for task in tasks):
        print(line)
    if untracked := untracked_line(results / task / "tracked.json" for task in tasks):
        print(untracked)
