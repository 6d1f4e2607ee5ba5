"""The examples of the docs run as they are printed."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from segtrans.config.params import load_params
from segtrans.config.run_config import resolve_config

ROOT = Path(__file__).parents[2]


def listings(page, language):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_data_set_of_the_docs_is_written_and_read(tmp_path):
    (code,) = listings("add-a-data-set.md", "python")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "scratches.h5").exists()


def test_the_pictures_of_the_docs_are_a_task(tmp_path):
    (text,) = listings("add-a-data-set.md", "yaml")
    (tmp_path / "mine.yaml").write_text(text)
    params = load_params(ROOT / "params.yaml", tmp_path / "mine.yaml")
    config = resolve_config(params, task="scratches", method="translation", init_seed=0)
    assert config.definition.channels == ("grey",)


def test_the_volumes_of_the_docs_are_a_task(tmp_path):
    text, *_ = listings("volumes.md", "yaml")
    (tmp_path / "volumes.yaml").write_text(text)
    params = load_params(ROOT / "params.yaml", tmp_path / "volumes.yaml")
    config = resolve_config(params, task="half_brains", method="translation", init_seed=0)
    assert config.definition.image_size == (48, 64, 32)


TRY = """
import sys, torch
import segtrans.methods
from segtrans.batch import Batch
from segtrans.methods.base import plain_step
segtrans.methods.__path__.append(sys.argv[1])
from segtrans.config import catalogue
catalogue.METHODS.update(eval(sys.argv[3], vars(catalogue)))
from pathlib import Path
from segtrans.config.run_config import resolve_config
from segtrans.methods.weights import build_method
from segtrans.config.params import load_params
weights = {"objective": {"with_absence": {"lambda_seg": 1.0}}}
params = load_params(Path(sys.argv[2]), overlay=weights | {"methods": ["with_absence"]})
config = resolve_config(params, task="mnist48_simple", method="with_absence", init_seed=0)
method = build_method(config)
method.prepare(config.training)
x = torch.rand(2, 1, 48, 48, generator=torch.Generator().manual_seed(0))
y = (x[:1, 0] > 0.5).to(torch.uint8)
terms = method.update(Batch.of(x, x, y), plain_step(torch.Generator()))
assert set(terms) == {"seg", "total"}
ablation = "translation_separate_sum"
assert params.weights(ablation) == params.weights("translation")
networks = build_method(resolve_config(params, task="mnist48_simple", method=ablation, init_seed=0))
assert networks.generator.segmentation_decoder is not None
"""


@pytest.mark.slow
def test_the_method_and_the_ablation_of_the_docs_work(tmp_path):
    ablation, module, entry = listings("add-a-method.md", "python")
    (tmp_path / "with_absence.py").write_text(module)
    arguments = [str(tmp_path), str(ROOT / "params.yaml"), f"{{{ablation}{entry}}}"]
    subprocess.run([sys.executable, "-c", TRY, *arguments], check=True)


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_what_a_page_names_exists(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:segtrans|config|workflow|tests)/[\w/.-]+\.\w+)`", text))
    example = {"segtrans/methods/with_absence.py"}
    for name in named - example:
        assert (ROOT / name).exists(), name
    for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert (ROOT / "docs" / link).exists(), link


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    subprocess.run([*command, "-c", ROOT / "docs", ROOT, tmp_path], check=True)
    assert 'id="segtrans-predict"' in (tmp_path / "docs/reference/commands.html").read_text()


def test_the_page_of_dependencies_is_what_they_and_pyproject_say():
    spec = importlib.util.spec_from_file_location("dependencies", ROOT / "docs/dependencies.py")
    dependencies = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dependencies)
    text = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    assert text == dependencies.page() + "\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for line in project["dependencies"]:
        name = re.match(r"[\w-]+", line)[0]
        assert f"\n| `{name}` |" in text, name
    for extra, lines in project["optional-dependencies"].items():
        for line in lines:
            name = re.match(r"[\w-]+", line)[0]
            assert name == "segtrans" or re.search(rf"\| `{extra}` \| `{name}` \| \w", text), line
