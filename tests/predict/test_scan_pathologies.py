"""Several pathologies of scans: volumes and columns of each; what is made is plain arithmetic."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import label
from torch import nn

import segtrans.predict.own_scans as predicting
import segtrans.predict.scans as of_cases
from segtrans.config.params import parse_params
from segtrans.config.run_config import resolve_config
from segtrans.config.runs import read_run
from segtrans.errors import UserError
from segtrans.methods.weights import WEIGHTS, build_method, load_method, save_weights
from segtrans.predict.made import Made
from segtrans.predict.overview import Drawn, panels_of
from segtrans.predict.own_scans import predict_scans
from segtrans.predict.scans import predict_cases
from tests.predict.test_own_scans import as_lps, contents, ct, make_run, rows
from tests.predict.test_predict import write_scan
from tests.run_files import run_facts
from tests.sources.scan_folder.scan_files import write_nifti

ROOT = Path(__file__).parents[2]
NAMES = ("soft", "hard")
TWO = {"multi_label": True, "classes": {"soft": 1, "hard": 2}}
OF_EACH = ("mask", "probability", "without", "residual")


class Two(nn.Module):
    """Finds all above -0.3 and all above 0.5; its translation and residuals are shares of x."""

    n_pathologies = 2
    shares = (1 / 4, 1 / 8)

    def __init__(self, at=(-0.3, 0.5)):
        super().__init__()
        self.at, self.weight = at, nn.Parameter(torch.zeros(1))

    def segment(self, x):
        last = x[:, -1:]
        return torch.cat(
            [(last > at).float() * p for at, p in zip(self.at, (0.9, 0.8), strict=True)], dim=1
        )

    def decompose(self, x):
        return x / 2, torch.stack([x * share for share in self.shares], dim=1)

    def remove(self, x_P):
        return x_P / 2, x_P * sum(self.shares)

    def insert(self, x_A, u_prior):
        raise NotImplementedError

    def sample_u(self, x_A, generator):
        raise NotImplementedError


class One(nn.Module):
    """A baseline."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def segment(self, x):
        return (x[:, -1:] > 0).float()


@pytest.fixture
def two(monkeypatch):
    def load(run, which):
        return (Two(at=(-0.2, 0.0)) if run.config.maps else One()).eval()

    monkeypatch.setattr(predicting, "load_method", lambda run, which: Two().eval())
    monkeypatch.setattr(of_cases, "load_method", load)


@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize("codes", ["LPS", "SPR"])
def test_each_pathology_has_volumes_and_columns_of_its_own(tmp_path, two, codes, halves):
    volume = ct()
    path = write_nifti(tmp_path / "in/soft/a.nii.gz", volume, codes=codes)
    out, run = tmp_path / "out", make_run(tmp_path, "pathologies", halves=halves, **TWO)
    table = predict_scans(run, tmp_path / "in", out, threshold=0.5, kinds=None)
    of_each = {f"{kind}/{name}/soft/a.nii.gz" for kind in OF_EACH for name in NAMES}
    whole = {"translation/soft/a.nii.gz", "overview/soft/a.png"}
    assert set(contents(out)) == of_each | whole | {"predictions.csv", "predictions.jsonl"}
    for name in (*of_each, "translation/soft/a.nii.gz"):
        written, given = nib.load(out / name), nib.load(path)
        assert written.shape == given.shape
        np.testing.assert_array_equal(written.affine, given.affine)
    inside = volume > -1000
    truth = {"soft": inside & (volume > -300), "hard": inside & (volume > 500)}
    assert (truth["soft"] & truth["hard"]).any()  # masks overlap
    taken = {
        name: np.where(inside, volume * of, 0) for name, of in zip(NAMES, Two.shares, strict=True)
    }
    left = {name: taken[other] for name, other in zip(NAMES, reversed(NAMES), strict=True)}
    without_all = np.where(inside, volume / 2, -1000)
    np.testing.assert_allclose(as_lps(out / "translation/soft/a.nii.gz"), without_all, atol=1)
    for name, p in zip(NAMES, (0.9, 0.8), strict=True):
        of = {kind: as_lps(out / kind / name / "soft/a.nii.gz") for kind in OF_EACH}
        np.testing.assert_array_equal(of["mask"], truth[name])
        np.testing.assert_allclose(of["probability"], truth[name] * p, atol=1e-6)
        np.testing.assert_allclose(of["residual"], taken[name], atol=1)
        np.testing.assert_allclose(of["without"], without_all + left[name], atol=1)
    either = truth["soft"] | truth["hard"]
    expected = {"case": "soft/a", "max_probability": "0.900000"}
    columns = {"": either} | {f"_{name}": mask for name, mask in truth.items()}
    for behind, mask in columns.items():
        expected[f"volume_ml{behind}"] = f"{mask.sum() / 1000:.4f}"
        expected[f"n_components{behind}"] = str(label(mask, np.ones((3, 3, 3)))[1])
    expected |= {"max_probability_soft": "0.900000", "max_probability_hard": "0.800000"}
    assert rows(table)["soft/a"] == expected


def test_volumes_of_a_resampled_scan_are_put_back_before_they_are_joined(tmp_path, two):
    volume = np.repeat(np.repeat(ct(), 2, axis=0), 2, axis=1)
    write_nifti(tmp_path / "in/a.nii.gz", volume, spacing=(0.5, 0.5, 1.0), codes="RAS")
    out = tmp_path / "out"
    run = make_run(tmp_path, "pathologies", **TWO)
    table = predict_scans(run, tmp_path / "in", out, threshold=0.5, kinds=["mask", "without"])
    masks = [as_lps(out / f"mask/{name}/a.nii.gz") for name in NAMES]
    truth = volume > 500
    assert 2 * (masks[1] * truth).sum() / (masks[1].sum() + truth.sum()) > 0.9
    ml = np.prod([0.5, 0.5, 1.0]) / 1000
    assert float(rows(table)["a"]["volume_ml"]) == pytest.approx(
        np.maximum(*masks).sum() * ml, abs=1e-4
    )
    assert (as_lps(out / "without/hard/a.nii.gz")[volume == -1000] == -1000).all()


def test_networks_give_in_a_scan_what_they_give_of_its_slices(tmp_path):
    rng = np.random.default_rng(0)
    volume = rng.integers(-900, 900, (32, 32, 5)).astype(np.int16)
    volume[0, 0] = -1000
    write_nifti(tmp_path / "in/a.nii.gz", volume)
    run, out = make_run(tmp_path, "pathologies", neighbours=1, **TWO), tmp_path / "out"
    kinds = ["probability", "translation", "without", "residual"]
    predict_scans(run, tmp_path / "in", out, threshold=0.5, kinds=kinds)
    method, z = load_method(read_run(run), which="best"), 4
    slices = [np.where(volume > -1000, volume, -1000)[..., k].T / 1000 for k in (3, 4, 4)]
    with torch.no_grad():
        x = torch.from_numpy(np.stack(slices)[None].astype(np.float32))
        without, residuals = method.decompose(x)
        y_seg = method.segment(x)
    inside = volume[..., z].T > -1000
    assert np.abs(y_seg.numpy()[0, 0] - y_seg.numpy()[0, 1]).max() > 1e-3
    for k, name in enumerate(NAMES):
        for kind, expected in (
            ("probability", y_seg[0, k]),
            ("residual", residuals[0, k, 0] * 1000),
            ("without", (without + residuals[:, 1 - k])[0, 0] * 1000),
        ):
            found = as_lps(out / f"{kind}/{name}/a.nii.gz")[..., z].T
            atol = 2e-3 if kind == "probability" else 2  # images are stored with 11 bits
            np.testing.assert_allclose(found[inside], expected.numpy()[inside], atol=atol)


def test_only_a_run_that_tells_pathologies_apart_removes_one(tmp_path):
    write_nifti(tmp_path / "in/a.nii.gz", ct())
    for method, task in (("translation", TWO), ("translation", {})):
        run = make_run(tmp_path / str(len(task)), method, **task)
        with pytest.raises(UserError, match=r"--save without: method translation .*not tell sev"):
            predict_scans(run, tmp_path / "in", tmp_path / "o", threshold=0.5, kinds=["without"])
        table = predict_scans(
            run, tmp_path / "in", tmp_path / f"out{len(task)}", threshold=0.5, kinds=None
        )
        header = next(csv.reader(table.read_text().splitlines()))
        assert header == ["case", "max_probability", "volume_ml", "n_components"]


@pytest.mark.parametrize("n_channels", [1, 4])
def test_the_overview_has_panels_of_each_removed_in_turn(monkeypatch, tmp_path, n_channels):
    rng = np.random.default_rng(0)
    shape, names = (20, 24, 3), [f"c{k}" for k in range(n_channels)]

    def volumes():
        return {name: rng.uniform(1, 9, shape).astype(np.float32) for name in names}

    scan, made = volumes(), Made(
        {name: rng.uniform(0, 1, shape).astype(np.float32) for name in NAMES},
        volumes(),
        {name: volumes() for name in NAMES},
    )  # fmt: skip
    masks = {name: (of > 0.5).astype(np.uint8) for name, of in made.probabilities.items()}
    drawn = Drawn(scan, np.ones(shape, np.bool_), made, masks)
    place = (slice(0, 20), slice(0, 24), 1)
    for name in names:
        of_all, *of_each = panels_of(drawn, name, place)
        assert [panel.title for panel in of_all] == [
            *("input", "translation", "residual", "segmentation")
        ]
        total = made.residuals["soft"][name] + made.residuals["hard"][name]
        np.testing.assert_allclose(of_all[2].image, total[..., 1].T)
        np.testing.assert_array_equal(of_all[3].mask, (masks["soft"] | masks["hard"])[..., 1].T)
        for block, own, other in zip(of_each, NAMES, reversed(NAMES), strict=True):
            left, delta, seen = block
            assert left.title == f"without {own}"
            expected = made.translation[name] + made.residuals[other][name]
            np.testing.assert_allclose(left.image, expected[..., 1].T)
            np.testing.assert_array_equal(delta.image, made.residuals[own][name][..., 1].T)
            np.testing.assert_array_equal(seen.mask, masks[own][..., 1].T)
    shown, titles, draw, save = [], [], Axes.imshow, Figure.savefig

    def note(axes, image, **options):
        shown.append(image)
        return draw(axes, image, **options)

    def keep(figure, *args, **options):
        titles.extend(text.get_text() for axes in figure.axes for text in axes.texts)
        return save(figure, *args, **options)

    monkeypatch.setattr(Axes, "imshow", note)
    monkeypatch.setattr(Figure, "savefig", keep)
    of_cases.overview_figure(drawn, tmp_path / "o.png", title="one")
    assert len(shown) == n_channels * (4 + 3 * len(NAMES))
    assert {"without soft", "without hard"} <= set(titles)


SEQUENCES = {"t1": "t1", "t2": "t2", "t1c": "t1ce", "flair": "flair"}


@pytest.fixture
def brain_run(tmp_path):
    def make(method="pathologies"):
        content = yaml.safe_load((ROOT / "params.yaml").read_text())
        content |= {"overrides": {}, "tasks": ["heads"]}
        content["networks"]["width"] = 1 / 64
        content["data_sets"] = {
            "heads": {
                "kind": "half_slices",
                "title": "Heads",
                "white_matter_lesions": True,
                "classes": {"tumour": 1, "white matter": 2},
            }
        }
        config = resolve_config(
            parse_params(content, origin="test"), task="heads", method=method, init_seed=0
        )
        folder = tmp_path / f"run_{method}"
        folder.mkdir()
        save_weights(folder / WEIGHTS["best"], build_method(config).state_dict(), config)
        facts = run_facts(config)
        facts["data"]["parameters"] = {"normalisation": "per_sequence", "mirror_right": True}
        (folder / "run.json").write_text(json.dumps(facts))
        return folder

    return make


def test_a_case_of_brats_has_files_of_each_pathology(tmp_path, brain_run, two):
    volumes = write_scan(tmp_path / "scan", codes=("R", "A", "S"))
    names, out = ("tumour", "white matter"), tmp_path / "out"
    files = list(predict_cases(brain_run(), [tmp_path / "scan"], out, threshold=0.5))
    kinds = [f"{kind}_{name}" for kind in ("seg", "probability") for name in names]
    kinds += [f"translation_{of}" for of in SEQUENCES]
    kinds += [f"{kind}_{name}_{of}" for kind in ("without", "residual") for name in names
              for of in SEQUENCES]  # fmt: skip
    expected = [*(f"scan_{kind}.nii.gz" for kind in kinds), "scan_overview.png"]
    assert [path.name for path in files] == expected
    given = nib.load(tmp_path / "scan/scan_t1.nii.gz")
    for path in files[:-1]:
        written = nib.load(path)
        assert (written.shape, written.affine.tolist()) == (given.shape, given.affine.tolist())
    found = {kind: as_lps(out / f"scan_{kind}.nii.gz") for kind in kinds}
    brain = volumes["t1"] != 0
    for name, suffix in SEQUENCES.items():
        volume = volumes[suffix].astype(float)
        mean, sd = volume[brain].mean(), volume[brain].std()
        beyond = volume - mean
        without_all = mean + beyond / 2
        for k, own in enumerate(names):
            delta, other = beyond * Two.shares[k], beyond * Two.shares[1 - k]
            for kind, truth in (("residual", delta), ("without", without_all + other)):
                values = found[f"{kind}_{own}_{name}"]
                np.testing.assert_allclose(values, np.where(brain, truth, 0), atol=1)
    # The channel of `Two` is FLAIR; z-scores are divided by five.
    z = (volume - mean) / sd / 5
    for own, at, p in zip(names, (-0.2, 0.0), (0.9, 0.8), strict=True):
        sure = np.abs(z - at) > 1e-3
        truth = brain & (z > at)
        np.testing.assert_array_equal(found[f"seg_{own}"][sure], truth[sure])
        assert found[f"probability_{own}"][sure & truth] == pytest.approx(p)
    assert (found["seg_tumour"] * found["seg_white matter"]).any()


def test_files_of_pathologies_do_not_outlive_another_runs_prediction(
    tmp_path, brain_run, two, monkeypatch
):
    monkeypatch.setattr(of_cases, "overview_figure", lambda drawn, output, **_: output.touch())
    write_scan(tmp_path / "scan")
    out = tmp_path / "out"
    list(predict_cases(brain_run(), [tmp_path / "scan"], out, threshold=0.5))
    baseline = brain_run("segmentation_only")
    files = list(predict_cases(baseline, [tmp_path / "scan"], out, threshold=0.5))
    assert [path.name for path in files] == [
        *("scan_seg.nii.gz", "scan_probability.nii.gz", "scan_overview.png")
    ]
    assert set(out.iterdir()) == {*files, out / "scan_prediction.json"}
