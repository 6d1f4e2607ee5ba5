"""What a finished preset leaves behind: its table, its pictures, and how to compare its runs."""

from pathlib import Path

from segtrans.config.refusals import parse_object
from segtrans.errors import UserError
from segtrans.tasks.registry import PAPER_TASKS
from segtrans.tracking import comparison_links, untracked_line


def print_summary(results: Path) -> None:
    """Print the table of a preset, the paths of its page and pictures, and how to open MLflow.

    Args:
        results: output folder of a preset, such as results/laptop.

    Raises:
        UserError: the folder holds no table, or a damaged one; the error says what the path is
            instead, and where tables are.
    """
    table, dice = results / "table.md", results / "dice.json"
    try:
        text = table.read_text(encoding="utf-8")
        chosen = parse_object(dice.read_text(encoding="utf-8"), origin=str(dice))
    except OSError as error:
        found = _what_is_there(results)
        raise UserError(
            f"{error.filename}: no finished table here ({error.strerror}); {found}"
        ) from error
    print(text)
    print(f"Table:   {table}, {table.with_suffix('.csv')}")
    print(f"Report:  {results / 'report.html'}")
    # Of the tasks of this table: earlier runs may have left others.
    tasks = [task for task in PAPER_TASKS if task in chosen]
    tasks += [task for task in chosen if task not in PAPER_TASKS]
    for task in tasks:
        for picture in sorted((results / "figures" / task).glob("*.png")):
            print(f"Figure:  {picture}")
    print(f"Panels:  {results}/<task>/<method>/seed<k>/panel.png")
    for line in comparison_links(f"segtrans/{results.name}/{task}" for task in tasks):
        print(line)
    if untracked := untracked_line(results / task / "tracked.json" for task in tasks):
        print(untracked)


def _what_is_there(results: Path) -> str:
    """What a path is that is no finished preset, and what to give instead."""
    above = (*results.parents, *results.absolute().parents)
    if preset := next(filter(_is_finished, above), None):
        return f"{results} lies in the finished preset {preset}: give {preset}"
    is_folder = results.is_dir()
    folder = results if is_folder else results.parent
    if presets := sorted(filter(_is_finished, (*folder.glob("*"), *folder.glob("*/*")))):
        one = "give it" if len(presets) == 1 else "give one of them"
        return f"{'it' if is_folder else folder} holds {', '.join(map(str, presets))}: {one}"
    if n_runs := len(list(results.glob("*/*/seed*/run.json"))):
        return f"it holds {n_runs} trained runs of a preset that is not finished; run it to its end"
    return "nor is one below or above; run a preset first, and give its results"


def _is_finished(folder: Path) -> bool:
    return (folder / "table.md").is_file() and (folder / "dice.json").is_file()
