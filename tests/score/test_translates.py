"""The answer to "does it translate?", in words and in files."""

import csv

import pytest

from segtrans.config.runs import read_run, read_runs
from segtrans.report.table import write_table
from segtrans.score.translates import does_translate, translation_points, translation_rows
from tests.run_files import translation_scores

YES = translation_scores(residual=0.7, target=0.3, rest=0.9)
FINDS = translation_scores(residual=0.7, target=0.8, rest=0.9)
REMOVES = translation_scores(residual=0.5, target=0.3, rest=0.9)
NO = translation_scores()


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (
            [NO],
            "no: Dice of the residual 0.45, of brightness alone 0.56; 0.85 of the target stays, ",
        ),
        ([YES], "yes: Dice of the residual 0.70, of brightness alone 0.56; 0.30 of the target st"),
        ([FINDS], "in part, finds the target: Dice of the residual 0.70"),
        ([REMOVES], "in part, removes the target: Dice of the residual 0.50"),
        ([YES, NO], "in 1 of 2 seeds: Dice of the residual 0.57"),
        ([FINDS, NO], "in part, finds the target in 1 of 2 seeds: Dice of the residual 0.57"),
        ([FINDS, REMOVES], "in part, finds or removes the target: Dice of the residual 0.60"),
    ],
)
def test_the_answer_says_no_more_than_the_figures(write_run, figures, expected):
    folders = [write_run("translation", i, translation=of) for i, of in enumerate(figures)]
    ((title, answer),) = translation_rows(read_runs(folders))
    assert title == "Proposed"
    assert answer.startswith(expected)
    assert [does_translate(read_run(folder)) for folder in folders] == [of is YES for of in figures]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"residual": 0.62}, True),
        ({"residual": 0.60}, False),
        ({"target": 0.51}, False),
        ({"rest": 0.79}, False),  # all is taken away
    ],
)
def test_what_a_yes_needs(write_run, changes, expected):
    figures = translation_scores(**({"residual": 0.7, "target": 0.3, "rest": 0.9} | changes))
    assert does_translate(read_run(write_run(translation=figures))) == expected


def test_what_is_not_made_to_translate_is_not_asked(write_run):
    assert translation_points([read_run(write_run("segmentation_only"))]) == []


def test_table_and_csv_have_it(write_run, tmp_path):
    folders = [write_run("segmentation_only"), write_run("translation", translation=NO)]
    write_table(
        folders,
        output_csv=tmp_path / "table.csv",
        output_md=tmp_path / "table.md",
        output_json=tmp_path / "dice.json",
    )
    text = (tmp_path / "table.md").read_text()
    asked = "- Does it translate? Proposed (MNIST 48×48 simple): no: Dice of the residual 0.45, of"
    assert asked in text
    alone, proposed = csv.DictReader((tmp_path / "table.csv").read_text().splitlines())
    assert float(proposed["dice_residual_test_best_mean"]) == 0.45
    assert float(proposed["disc_score_PA_test_last_mean"]) == -0.6
    assert proposed["n_translating"] == "0"
    assert alone["dice_residual_test_best_mean"] == ""
