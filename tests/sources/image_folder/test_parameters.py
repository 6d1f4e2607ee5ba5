"""A task of pictures in the parameters: what its folder says, and what is refused."""

from pathlib import Path

import pytest
import yaml

from segtrans.config.run_config import resolve_config
from segtrans.errors import UserError
from segtrans.pipeline.fit import run_folders, write_project
from segtrans.pipeline.preflight import check_sources
from segtrans.sources.parameters import read_params
from tests.sources.image_folder.folders import write_folder

ROOT = Path(__file__).parents[3]


def read(tmp_path, folder, *, overrides=None, **entry):
    entry = {"kind": "image_folder", "directory": str(folder)} | entry
    own = tmp_path / "own.yaml"
    content = {"tasks": ["mine"], "data_sets": {"mine": entry}, "overrides": overrides or {}}
    own.write_text(yaml.safe_dump(content))
    return read_params(ROOT / "params.yaml", own)


def test_what_an_entry_leaves_out_is_what_its_folder_says(tmp_path):
    folder = write_folder(tmp_path / "Photos", n_channels=3)
    (folder / "dataset.yaml").write_text("classes: {crack: 1}\nheight: 64\nwidth: 96\n")
    params = read(tmp_path, folder, width=80)
    task = params.known_tasks["mine"]
    assert (task.title, task.height, task.width) == ("Photos", 64, 80)
    assert task.channels == ("red", "green", "blue")
    assert task.classes == {"crack": 1}
    check_sources(params)


def test_a_run_of_it_keeps_what_networks_see_and_labels_all_that_have_a_mask(tmp_path):
    folder = write_folder(tmp_path / "photos")
    params = read(tmp_path, folder, size="stretch", title="Cracks")
    config = resolve_config(params, task="mine", method="translation", init_seed=1)
    assert config.definition.channels == ("grey",)
    assert (config.definition.size, config.definition.title) == ("fit", "mine")
    assert (config.labels.fraction, config.labels.digits, config.labels.unit) == (1.0, None, None)
    assert not config.labels.per_seed
    assert config.labels.per_batch == params.labels.per_batch
    with pytest.raises(UserError, match=r"overrides.mine.labels.fraction: of no use to mine"):
        read(tmp_path, folder, overrides={"mine": {"labels": {"fraction": 0.5}}})


def test_a_folder_that_is_not_there_or_not_of_pictures_is_refused_before_any_job(tmp_path):
    with pytest.raises(UserError, match=r"data_sets.mine.directory = .*: not found; expected"):
        read(tmp_path, tmp_path / "photos")
    folder = write_folder(tmp_path / "photos")
    for path in (folder / "masks").iterdir():
        path.unlink()
    (folder / "masks" / "other.png").write_bytes((folder / "present" / "p00.png").read_bytes())
    with pytest.raises(UserError, match=r"masks/other.png") as caught:
        check_sources(read(tmp_path, folder))
    assert len(caught.value.lines) > 1


@pytest.mark.parametrize(("height", "width", "warp_sd"), [(64, 64, 2.7), (240, 120, 5.0)])
def test_fit_trains_as_config_pictures_says_and_warps_by_the_pictures_size(
    tmp_path, height, width, warp_sd
):
    folder, run = write_folder(tmp_path / "photos"), tmp_path / "run"
    text = f"{{height: {height}, width: {width}, architecture: mnist48}}\n"
    (folder / "dataset.yaml").write_text(text)
    write_project(run, folder, methods=["translation"], iterations=None)
    params = read_params(run / "params.yaml")
    expected = read_params(ROOT / "params.yaml", ROOT / "config" / "pictures.yaml")
    assert params.augmentation.warp_sd == warp_sd
    assert params.augmentation.rotation_deg == expected.augmentation.rotation_deg
    for block in ("training", "labels", "networks", "objective"):
        assert getattr(params, block) == getattr(expected, block)
    digits = read_params(ROOT / "params.yaml")
    assert params.training.learning_rate < digits.training.learning_rate


def test_fit_writes_parameters_only_where_all_is_well(tmp_path):
    folder, run = write_folder(tmp_path / "My Photos (2)"), tmp_path / "run"
    with pytest.raises(UserError, match="methods = foo"):
        write_project(run, folder, methods=["foo"], iterations=None)
    with pytest.raises(UserError, match="lies in the data"):
        write_project(folder / "run", folder, methods=["translation"], iterations=None)
    assert not run.exists()
    write_project(run, folder, methods=["translation"], iterations=3)
    params = read_params(run / "params.yaml")
    assert params.tasks == ("my_photos_2",)
    assert (params.training.iterations, params.training.validate_every) == (3, 1)
    assert list(run_folders(run)) == [run / "results/fit/my_photos_2/translation/seed0"]
    (run / "results/fit/my_photos_2/translation/seed0").mkdir(parents=True)
    (run / "results/fit/my_photos_2/translation/seed0/run.json").touch()
    write_project(run, folder, methods=["autoencoder"], iterations=None)
    # The other one may have been trained on what the pictures were then.
    assert list(run_folders(run)) == [run / "results/fit/my_photos_2/autoencoder/seed0"]
    (run / "params.yaml").write_text("preset: laptop\n")
    with pytest.raises(UserError, match="not of `segtrans fit`"):
        write_project(run, folder, methods=["translation"], iterations=None)


def test_a_fit_on_other_pictures_leaves_a_run_as_it_is(tmp_path):
    one, other = (write_folder(tmp_path / name) for name in ("tiles", "walls"))
    run = tmp_path / "run"
    write_project(run, one, methods=["translation"], iterations=3)
    before = (run / "params.yaml").read_text()
    with pytest.raises(UserError, match="holds a run on tiles, and this one would be on walls"):
        write_project(run, other, methods=["translation"], iterations=3)
    assert (run / "params.yaml").read_text() == before
    write_project(run, one, methods=["autoencoder"], iterations=3)
