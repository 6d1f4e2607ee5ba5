"""Scans of one's own go in and come back in their own geometry; the networks are tiny."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import torch
from skimage.io import imread
from torch import nn

import segtrans.predict.own_scans as predicting
from segtrans.errors import UserError, UserErrors
from segtrans.predict.own_scans import predict_scans
from tests.limits import WAIT_S
from tests.predict.picture_runs import write_run, write_run_of
from tests.sources.scan_folder.scan_files import make_task, write_nifti, write_series

ROOT = Path(__file__).parents[2]
ALL = ("mask", "probability", "translation", "residual", "overview")
SHAPE = (24, 26, 8)
HU = {"mode": "window", "low": -1000, "high": 1000}


class Dense(nn.Module):
    """Segments where the last channel is above a half; halves every intensity."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def segment(self, x):
        return (x[:, -1:] > 0.5).float()

    def remove(self, x_P):
        return x_P / 2, x_P / 4

    def insert(self, x_A, u_prior):
        raise NotImplementedError

    def sample_u(self, x_A, generator):
        raise NotImplementedError


@pytest.fixture
def dense(monkeypatch):
    monkeypatch.setattr(predicting, "load_method", lambda run, which: Dense().eval())


def make_run(place, method="translation", *, spacing_mm=(1.0, 1.0, 1.0), **task):
    place.mkdir(parents=True, exist_ok=True)
    content = {"height": 32, "width": 32, "architecture": "mnist48", "intensity": HU}
    return write_run_of(place, method, make_task(**content | task), spacing_mm=spacing_mm)


def ct(seed=0, shape=SHAPE):
    """A body of -200 to 400 HU with a dense part of 600 to 900, in air."""
    rng = np.random.default_rng(seed)
    volume = np.full(shape, -1000, np.int16)
    volume[3:-3, 4:-4, 1:] = rng.integers(-200, 400, (shape[0] - 6, shape[1] - 8, shape[2] - 1))
    volume[6:9, 8:12, 2:5] = rng.integers(600, 900, (3, 4, 3))
    return volume


def run(*args, threshold=0.5, kinds=None):
    return predict_scans(*args, threshold=threshold, kinds=kinds)


def rows(table):
    with table.open() as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def as_lps(path):
    image = nib.load(path)
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(image.affine), nib.orientations.axcodes2ornt("LPS")
    )
    return image.as_reoriented(turn).get_fdata()


@pytest.mark.parametrize(
    ("axis", "halves"), [("axial", False), ("axial", True), ("coronal", True), ("sagittal", False)]
)
@pytest.mark.parametrize("codes", ["LPS", "RAS", "SPR"])
def test_each_output_lies_on_its_scan(tmp_path, dense, codes, axis, halves):
    volume = ct()
    path = write_nifti(tmp_path / "in/sub/a.nii.gz", volume, codes=codes)
    out = tmp_path / "out"
    table = run(make_run(tmp_path, axis=axis, halves=halves), tmp_path / "in", out)
    kinds = [f"{kind}/sub/a.{'png' if kind == 'overview' else 'nii.gz'}" for kind in ALL]
    assert set(contents(out)) == {*kinds, "predictions.csv", "predictions.jsonl"}
    for name in kinds[:-1]:
        written, given = nib.load(out / name), nib.load(path)
        assert written.shape == given.shape
        np.testing.assert_array_equal(written.affine, given.affine)
    mask, probability = as_lps(out / kinds[0]), as_lps(out / kinds[1])
    assert nib.load(out / kinds[0]).get_data_dtype() == np.uint8
    np.testing.assert_array_equal(mask, volume > 500)
    np.testing.assert_array_equal(probability, volume > 500)
    content = volume > -1000
    translation, residual = as_lps(out / kinds[2]), as_lps(out / kinds[3])
    np.testing.assert_allclose(translation, np.where(content, volume / 2, -1000), atol=1)
    np.testing.assert_allclose(residual, np.where(content, volume / 4, 0), atol=1)
    assert imread(out / kinds[4]).shape[2] == 4
    assert rows(table)["sub/a"] == {
        "case": "sub/a",
        "max_probability": "1.000000",
        "volume_ml": "0.0360",
        "n_components": "1",
    }


def test_a_scan_of_another_spacing_is_resampled_and_comes_back_in_its_own(tmp_path, dense, capfd):
    volume = np.repeat(np.repeat(ct(), 2, axis=0), 2, axis=1)
    path = write_nifti(tmp_path / "in/a.nii.gz", volume, spacing=(0.5, 0.5, 1.0), codes="RAS")
    tiny = make_run(tmp_path)
    table = run(tiny, path, tmp_path / "out")
    mask = as_lps(tmp_path / "out/mask/a.nii.gz")
    assert mask.shape == volume.shape
    truth = volume > 500
    assert 2 * (mask[truth] > 0).sum() / (mask.sum() + truth.sum()) > 0.9
    assert float(rows(table)["a"]["volume_ml"]) == pytest.approx(0.036, rel=0.15)
    said = capfd.readouterr().err
    assert "a: voxels of 0.5 x 0.5 x 1 mm, along columns, rows and slices; the run was" in said
    translation = as_lps(tmp_path / "out/translation/a.nii.gz")
    inside = volume > -1000
    assert np.abs(translation - volume / 2)[inside].mean() < 60
    assert (translation[~inside] == -1000).all()
    near = write_nifti(tmp_path / "near/b.nii.gz", ct(), spacing=(0.8, 0.8, 1.5))
    run(tiny, near, tmp_path / "out2")
    assert "voxels of" not in capfd.readouterr().err


def test_a_series_comes_back_as_nifti_of_its_place(tmp_path, dense):
    volume = ct()
    image = write_series(tmp_path / "in/P7/ct", volume, spacing=(1, 1, 1))
    for source, case in [("in", "P7/ct"), ("in/P7", "ct"), ("in/P7/ct", "ct")]:
        out = tmp_path / "out" / source
        table = run(make_run(tmp_path), tmp_path / source, out)
        assert list(rows(table)) == [case]
        mask = SimpleITK.ReadImage(str(out / f"mask/{case}.nii.gz"))
        found = SimpleITK.GetArrayFromImage(mask).transpose(2, 1, 0)
        np.testing.assert_array_equal(found, volume > 500)
        for of in ("GetOrigin", "GetSpacing", "GetDirection"):
            np.testing.assert_allclose(getattr(mask, of)(), getattr(image, of)(), atol=1e-4)


def test_a_scan_may_have_several_channels(tmp_path, dense):
    names = ("t1", "flair")
    tiny = make_run(tmp_path, channels=names, intensity={"mode": "zscore"})
    for case in ("P1", "P2"):
        for seed, name in enumerate(names):
            volume = np.where(ct(seed) > -1000, ct(seed) + 1000, 0).astype(np.int16)
            write_nifti(tmp_path / f"in/{case}/{case}_{name}.nii.gz", volume)
    write_nifti(tmp_path / "in/P2/P2_seg.nii.gz", np.ones(SHAPE, np.uint8))
    table = run(tiny, tmp_path / "in", tmp_path / "out")
    assert list(rows(table)) == ["P1", "P2"]
    there = contents(tmp_path / "out")
    assert {name for name in there if "P2" in name} == {
        *(f"{kind}/P2.nii.gz" for kind in ("mask", "probability")),
        *(f"{kind}/P2_{name}.nii.gz" for kind in ("translation", "residual") for name in names),
        "overview/P2.png",
    }
    values = volume[volume > 0].astype(float)
    mean, sd = values.mean(), values.std()
    assert (np.abs(values - mean) / sd < 5).all()
    translation = as_lps(tmp_path / "out/translation/P2_flair.nii.gz")
    np.testing.assert_allclose(translation[volume > 0], mean + (values - mean) / 2, atol=2)
    numbered = tmp_path / "numbered"
    for number, name in enumerate(names):
        source = tmp_path / f"in/P1/P1_{name}.nii.gz"
        numbered.mkdir(exist_ok=True)
        (numbered / f"x_000{number}.nii.gz").write_bytes(source.read_bytes())
    for source in (numbered, numbered / "x_0000.nii.gz", numbered / "x_0001.nii.gz"):
        out = tmp_path / "out" / source.name
        assert list(rows(run(tiny, source, out, kinds=["mask"]))) == ["x"]
    brats = tmp_path / "brats/BraTS_1"
    for name, suffix in (("t1", "t1n"), ("flair", "t2f")):
        brats.mkdir(parents=True, exist_ok=True)
        source = tmp_path / f"in/P1/P1_{name}.nii.gz"
        (brats / f"BraTS_1-{suffix}.nii.gz").write_bytes(source.read_bytes())
    assert list(rows(run(tiny, brats, tmp_path / "b", kinds=["mask"]))) == ["BraTS_1"]
    (tmp_path / "in/P1/P1_flair.nii.gz").unlink()
    with pytest.raises(UserErrors, match=r"P1: has no scan for channel flair beside P1_t1"):
        run(tiny, tmp_path / "in", tmp_path / "out3", kinds=["mask"])


def test_classes_are_told_apart(tmp_path, monkeypatch):
    class Two(Dense):
        def segment(self, x):
            soft, hard = (x > -0.5).float() * (x < 0.5).float(), (x > 0.5).float() * 0.8
            return torch.cat([1 - soft - hard, soft, hard], dim=1)

    monkeypatch.setattr(predicting, "load_method", lambda run, which: Two().eval())
    volume = ct()
    write_nifti(tmp_path / "in/a.nii.gz", volume)
    tiny = make_run(tmp_path, classes={"soft": 1, "hard": 2})
    table = rows(run(tiny, tmp_path / "in", tmp_path / "out", kinds=["mask"]))
    expected = np.select([volume > 500, volume > -1000], [2, 1])
    np.testing.assert_array_equal(as_lps(tmp_path / "out/mask/a.nii.gz"), expected)
    assert table["a"]["volume_ml_hard"] == "0.0360"
    assert table["a"]["volume_ml_soft"] == f"{(expected == 1).sum() / 1000:.4f}"


def test_bad_scans_are_named_at_the_end_and_the_good_ones_are_written(tmp_path, capfd):
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in "abc":
        write_nifti(folder / f"{name}.nii.gz", ct())
    whole = (folder / "b.nii.gz").read_bytes()
    (folder / "b.nii.gz").write_bytes(whole[: len(whole) // 2])
    write_nifti(folder / "large.nii.gz", np.pad(ct(shape=(60, 26, 8)), 1, mode="edge"))
    write_nifti(folder / "masks/a.nii.gz", np.ones(SHAPE, np.uint8))
    (folder / "._a.nii.gz").write_bytes(b"x")
    with pytest.raises(UserErrors) as caught:
        run(make_run(tmp_path, "autoencoder"), folder, out)
    *lines, last = caught.value.lines
    assert lines[0].startswith(f"{folder / 'b.nii.gz'}: cannot be read")
    assert lines[1].startswith("large: 18 rows and 54 columns are not background at this spacing")
    assert last == f"2 scans are left out, named above; 2 are in {out}"
    said = "segtrans: passed over 2 files: masks/a.nii.gz, ._a.nii.gz\n"
    assert said in capfd.readouterr().err
    written = {f"{kind}/{name}.nii.gz" for kind in ("mask", "probability") for name in "ac"}
    written |= {f"overview/{name}.png" for name in "ac"}
    assert set(contents(out)) == written | {"predictions.csv", "predictions.jsonl"}


def test_where_no_scan_can_be_predicted_nothing_is_left(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "new/deep"
    write_nifti(folder / "large.nii.gz", np.pad(ct(shape=(60, 26, 8)), 1, mode="edge"))
    with pytest.raises(UserErrors) as caught:
        run(make_run(tmp_path / "run", "autoencoder"), folder, out)
    assert caught.value.lines[-1] == "1 scan is left out, named above; nothing was written"
    assert not (tmp_path / "new").exists()


def test_what_is_not_ours_is_kept_and_what_is_there_is_not_made_again(tmp_path, dense, monkeypatch):
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in "ab":
        write_nifti(folder / f"{name}.nii.gz", ct())
    tiny = make_run(tmp_path)
    expert = write_nifti(out / "mask/b.nii.gz", np.ones(SHAPE, np.uint8))
    before = contents(tmp_path)
    with pytest.raises(UserError, match=r"mask/b\.nii\.gz: is there already and was not written"):
        run(tiny, folder, out)
    with pytest.raises(UserError, match=r"lies in the folder of the scans"):
        run(tiny, folder, folder / "out")
    with pytest.raises(UserError, match=r"--save overlay: .*overview"):
        run(tiny, folder, tmp_path / "new", kinds=["overlay"])
    with pytest.raises(UserError, match=r"holds no scan; expected NIfTI files"):
        run(tiny, tiny, tmp_path / "new")
    assert contents(tmp_path) == before
    expert.unlink()

    seen, read = [], predicting.read_scan

    def note(files, *args, **options):
        seen.append(files.case_id)
        return read(files, *args, **options)

    monkeypatch.setattr(predicting, "read_scan", note)
    run(tiny, folder, out)
    assert seen == ["a", "b"]
    run(tiny, folder, out)
    assert seen == ["a", "b"]
    write_nifti(folder / "b.nii.gz", ct(1))
    write_nifti(folder / "c.nii.gz", ct(2))
    (out / "overview/a.png").unlink()
    run(tiny, folder, out)
    assert seen == ["a", "b", "a", "b", "c"]
    np.testing.assert_array_equal(as_lps(out / "mask/b.nii.gz"), ct(1) > 500)
    # What stands in the list of a scan that cannot be read now is of what it was before.
    (folder / "c.nii.gz").write_bytes(b"")
    with pytest.raises(UserErrors, match=r"c\.nii\.gz"):
        run(tiny, folder, out)
    text = (out / "predictions.csv").read_text()
    assert [line.split(",")[0] for line in text.splitlines()] == ["case", "a", "b"]


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_an_undisturbed_one(tmp_path):
    folder = tmp_path / "in"
    for number in range(12):
        write_nifti(folder / f"{number:02d}.nii.gz", ct(number))
    tiny = make_run(tmp_path)
    command = [sys.executable, "-m", "segtrans", "predict", "--weights", tiny, "--input", folder]
    kinds = ["mask", "translation"]
    command += ["--save", ",".join(kinds)]
    killed = tmp_path / "killed"
    process = subprocess.Popen([*command, "--output", killed], cwd=ROOT)
    deadline = time.monotonic() + WAIT_S
    while len(list(killed.glob("mask/*.nii.gz"))) < 3 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(timeout=WAIT_S) == -signal.SIGKILL
    for output in (killed, tmp_path / "whole"):
        run(tiny, folder, output, kinds=kinds)
    there, whole = contents(killed), contents(tmp_path / "whole")
    for files in (there, whole):
        files["predictions.jsonl"] = sorted(set(files["predictions.jsonl"].splitlines()))
    assert there == whole
    assert len(whole) == 2 * 12 + 2


def test_the_command_knows_by_the_run_what_the_folder_holds(tmp_path):
    from typer.testing import CliRunner

    from segtrans.cli import app

    write_nifti(tmp_path / "in/a.nii.gz", ct())
    out = tmp_path / "out"
    command = ["predict", "--weights", str(make_run(tmp_path)), "--output", str(out)]
    done = CliRunner().invoke(app, [*command, "--input", str(tmp_path / "in"), "--save", "mask"])
    assert done.exit_code == 0, done.exception
    assert done.stdout.strip() == str(out / "predictions.csv")
    assert (out / "mask/a.nii.gz").exists()
    error = CliRunner().invoke(app, [*command, "--case", str(tmp_path / "in")]).exception
    with pytest.raises(UserError, match="a run on a folder of scans: give --input instead of"):
        raise error
    pictures = write_run(tmp_path, "autoencoder")
    command = ["predict", "--weights", str(pictures), "--output", str(tmp_path / "new")]
    error = CliRunner().invoke(app, [*command, "--input", str(tmp_path / "in")]).exception
    with pytest.raises(UserErrors, match=r"a\.nii\.gz: a kind of file that is not read"):
        raise error
