"""The examples of the docs run as they are printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def listings(page, language):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_data_set_of_the_docs_is_written_and_read(tmp_path):
    (code,) = listings("add-a-data-set.md", "python")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "scratches.h5").exists()


TRY = """
import sys, torch
from dataclasses import replace
import segtrans.methods
from segtrans.batch import Batch
from segtrans.methods.base import plain_step
segtrans.methods.__path__.append(sys.argv[1])
from segtrans.config.catalogue import METHODS, MethodEntry
METHODS.update({{{entry}}})
from pathlib import Path
from segtrans.config.cells import resolve_cell
from segtrans.methods.weights import build_method
from segtrans.config.params import load_params
weights = {{"objective": {{"with_absence": {{"lambda_seg": 1.0}}}}}}
params = load_params(Path(sys.argv[2]), overlay=weights | {{"methods": ["with_absence"]}})
cell = resolve_cell(params, task="mnist48_simple", method="with_absence", init_seed=0)
method = build_method(cell)
method.prepare(cell.training)
x = torch.rand(2, 1, 48, 48, generator=torch.Generator().manual_seed(0))
y = (x[:1, 0] > 0.5).to(torch.uint8)
terms = method.update(Batch.of(x, x, y), plain_step(torch.Generator()))
assert set(terms) == {{"seg", "total"}}
"""


def test_the_method_of_the_docs_trains(tmp_path):
    module, entry = listings("add-a-method.md", "python")
    (tmp_path / "with_absence.py").write_text(module)
    code = TRY.format(entry=entry)
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(ROOT / "params.yaml")], check=True
    )


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_what_a_page_names_exists(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:segtrans|config|workflow|tests)/[\w/.-]+\.\w+)`", text))
    example = {"segtrans/methods/with_absence.py"}
    for name in named - example:
        assert (ROOT / name).exists(), name
    for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert (ROOT / "docs" / link).exists(), link
