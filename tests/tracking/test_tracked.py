from pathlib import Path

import pytest

from segtrans.tracking import is_whole, untracked_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"results/a": "id", "results/b": "id"}', True),
        ('{"results/a": "id", "results/b": null}', False),
        ('{"results/a": ""}', False),
        ('{"results/a": 7}', False),
        ("{}", False),
        ("[]", False),
        ('{"results/a": "id"', False),  # damaged: made again
        (None, False),
    ],
)
def test_only_a_file_with_an_id_for_every_run_is_whole(
    tmp_path: Path, text: str | None, expected: bool
) -> None:
    file = tmp_path / "tracked.json"
    if text is not None:
        file.write_text(text)
    assert is_whole(file) is expected


def test_runs_that_are_not_tracked_are_counted_over_all_files(tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    first.write_text('{"a": "id", "b": null}')
    second.write_text('{"c": null}')
    line = untracked_line([first, second, tmp_path / "missing.json"])
    assert line is not None
    assert line.startswith("2 of 3 runs are not tracked in MLflow")
    first.write_text('{"a": "id", "b": "id"}')
    assert untracked_line([first]) is None
