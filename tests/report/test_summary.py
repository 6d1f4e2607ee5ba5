import pytest

from segtrans.errors import UserError
from segtrans.report import summary


def test_it_prints_table_pictures_and_links(tmp_path, capsys, monkeypatch):
    # Not MLflow itself, whose import alone takes seconds: its links have tests of their own.
    monkeypatch.setattr(summary, "comparison_links", lambda names: [f"links of {list(names)}"])
    results = tmp_path / "laptop"
    pictures = [f"figures/{task}/dice.png" for task in ("mnist48_simple", "brats")]
    for name in ("table.md", *pictures, "mnist48_simple/x", "brats/x"):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text("| the table |")
    (results / "dice.json").write_text('{"mnist48_simple": {}}')
    summary.print_summary(results)
    text = capsys.readouterr().out
    assert text.startswith("| the table |\n")
    assert str(results / "report.html") in text
    assert str(results / "figures" / "mnist48_simple" / "dice.png") in text
    assert "brats" not in text  # of an earlier run
    assert "links of ['segtrans/laptop/mnist48_simple']" in text


def test_without_a_table_it_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"table\.md: no finished table here .*run it first"):
        summary.print_summary(tmp_path)
