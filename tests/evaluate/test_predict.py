"""A scan goes in and comes back in its own geometry; each step is checked by itself."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from segtrans.cells import resolve_cell
from segtrans.data.cases import find_case
from segtrans.data.volumes import read_case
from segtrans.errors import UserError
from segtrans.evaluate.predict import predict, predict_case
from segtrans.methods.weights import WEIGHTS, build_method, save_weights
from segtrans.params import parse_params
from tests.run_files import run_facts

SUFFIXES = ("t1", "t1ce", "t2", "flair")


def write_scan(folder, *, shape=(70, 72, 4), codes=("L", "P", "S"), seed=0):
    """A scan without mask, stored in the given axis order; its brain is a box."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    volumes = {}
    for suffix in SUFFIXES:
        volume = np.zeros(shape, np.int16)
        inside = (slice(5, -5), slice(8, -8), slice(1, None))
        volume[inside] = rng.integers(100, 900, volume[inside].shape)
        volumes[suffix] = volume
        image = nib.Nifti1Image(volume, np.diag([-1.0, -1.0, 2.0, 1.0]))
        turn = nib.orientations.ornt_transform(
            nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(codes)
        )
        nib.save(image.as_reoriented(turn), folder / f"scan_{suffix}.nii.gz")
    return volumes


class Bright(nn.Module):
    """Segments where T1C is above its mean; removes half of every intensity."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def segment(self, x):
        return (x[:, 2:3] > 0).float()

    def remove(self, x_P):
        return x_P / 2, x_P / 4

    def insert(self, x_A, u_prior):
        raise NotImplementedError

    def sample_u(self, x_A, generator):
        raise NotImplementedError


@pytest.mark.parametrize("mirror_right", [False, True])
@pytest.mark.parametrize("shape", [(70, 72, 4), (71, 65, 3), (30, 40, 3)])
def test_every_slice_with_brain_is_put_back_where_it_was(tmp_path, shape, mirror_right):
    volumes = write_scan(tmp_path, shape=shape)
    case = read_case(find_case(tmp_path), with_mask=False)
    found = predict(Bright(), case, normalisation="per_sequence", mirror_right=mirror_right)
    brain = volumes["t1"] != 0
    for name, suffix in (("t1", "t1"), ("t1c", "t1ce")):
        volume = volumes[suffix].astype(float)
        mean, sd = volume[brain].mean(), volume[brain].std()
        half_way = np.where(brain, mean + (volume - mean) / 2, 0)
        quarter = np.where(brain, (volume - mean) / 4, 0)
        assert (np.abs(volume[brain] - mean) / sd < 5).all()
        np.testing.assert_allclose(found.translation[name], half_way, atol=0.5)
        np.testing.assert_allclose(found.residual[name], quarter, atol=0.3)
    contrast = volumes["t1ce"]
    is_bright = brain & (contrast > contrast[brain].mean())
    np.testing.assert_array_equal(found.probability > 0.5, is_bright)


@pytest.fixture
def make_run(tmp_path):
    def make(method="translation", task="brats", parameters=None):
        from pathlib import Path

        import yaml

        content = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
        content["networks"]["width"] = 1 / 64
        content["overrides"] = {}
        cell = resolve_cell(
            parse_params(content, origin="test"), task=task, method=method, init_seed=0
        )
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        save_weights(folder / WEIGHTS["best"], build_method(cell).state_dict(), cell)
        if parameters is None:
            parameters = {"normalisation": "joint", "mirror_right": False}
        facts = run_facts(cell)
        facts["data"]["parameters"] = parameters
        (folder / "run.json").write_text(json.dumps(facts))
        return folder

    return make


KINDS = [
    f"{kind}_{name}"
    for kind in ("translation", "residual")
    for name in ("t1", "t2", "t1c", "flair")
]


def test_files_are_in_the_scans_own_geometry_and_the_same_for_any_axis_order(tmp_path, make_run):
    run = make_run()
    results = {}
    for codes in (("L", "P", "S"), ("R", "A", "S"), ("S", "L", "A")):
        scan, output = tmp_path / "".join(codes), tmp_path / "out" / "".join(codes)
        write_scan(scan, codes=codes)
        files = predict_case(run, scan, output, threshold=0.5)
        names = [f"scan_{kind}.nii.gz" for kind in ("seg", *KINDS)] + ["scan_overview.png"]
        assert [path.name for path in files] == names
        assert (output / "scan_overview.png").read_bytes().startswith(b"\x89PNG")
        assert sorted(path.name for path in output.iterdir()) == sorted(names)
        given = nib.load(scan / "scan_t1.nii.gz")
        for path in files[:-1]:
            image = nib.load(path)
            assert image.shape == given.shape
            np.testing.assert_array_equal(image.affine, given.affine)
            assert nib.aff2axcodes(image.affine) == codes
            assert image.header.get_zooms() == given.header.get_zooms()
            turn = nib.orientations.ornt_transform(
                nib.io_orientation(image.affine), nib.orientations.axcodes2ornt("LPS")
            )
            results.setdefault(path.name, []).append(image.as_reoriented(turn).get_fdata())
        seg = nib.load(output / "scan_seg.nii.gz")
        assert seg.get_data_dtype() == np.uint8
    for volumes in results.values():
        for other in volumes[1:]:
            np.testing.assert_allclose(other, volumes[0], atol=1e-3)
    assert np.ptp(results["scan_residual_flair.nii.gz"][0]) > 0


def test_a_baseline_segments_and_does_not_translate(tmp_path, make_run):
    write_scan(tmp_path / "scan")
    files = predict_case(make_run("autoencoder"), tmp_path / "scan", tmp_path, threshold=0.5)
    assert [path.name for path in files] == ["scan_seg.nii.gz", "scan_overview.png"]


def test_a_run_of_digits_is_refused(tmp_path, make_run):
    with pytest.raises(UserError, match="a run of task mnist48_simple; expected one of brats"):
        predict_case(make_run(task="mnist48_simple"), tmp_path, tmp_path, threshold=0.5)


def test_a_run_that_does_not_say_how_its_data_were_made_is_refused(tmp_path, make_run):
    write_scan(tmp_path / "scan")
    with pytest.raises(UserError, match=r"data\.parameters lacks normalisation"):
        predict_case(make_run(parameters={}), tmp_path / "scan", tmp_path, threshold=0.5)
