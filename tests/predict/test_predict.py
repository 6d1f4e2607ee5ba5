"""A scan goes in and comes back in its own geometry; each step is checked by itself."""

import errno
import json
import os
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from segtrans.config.params import parse_params
from segtrans.config.run_config import resolve_config
from segtrans.errors import UserError
from segtrans.methods.weights import WEIGHTS, build_method, load_method, save_weights
from segtrans.predict.network_of_cases import predict
from segtrans.predict.scans import predict_cases
from segtrans.sources.scans.cases import find_case
from segtrans.sources.scans.volumes import read_case
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
    def make(method="translation", task="brats", parameters=None, source="made up"):
        import yaml

        content = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
        content["networks"]["width"] = 1 / 64
        content["overrides"] = {}
        config = resolve_config(
            parse_params(content, origin="test"), task=task, method=method, init_seed=0
        )
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        save_weights(folder / WEIGHTS["best"], build_method(config).state_dict(), config)
        if parameters is None:
            parameters = {"normalisation": "joint", "mirror_right": False}
        facts = run_facts(config)
        facts["data"]["parameters"] = parameters
        facts["data"]["source"] = source
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
        files = list(predict_cases(run, [scan], output, threshold=0.5))
        names = [f"scan_{kind}.nii.gz" for kind in ("seg", "probability", *KINDS)] + [
            "scan_overview.png"
        ]
        assert [path.name for path in files] == names
        assert (output / "scan_overview.png").read_bytes().startswith(b"\x89PNG")
        there = sorted([*names, "scan_prediction.json"])
        assert sorted(path.name for path in output.iterdir()) == there
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
    files = list(
        predict_cases(make_run("autoencoder"), [tmp_path / "scan"], tmp_path, threshold=0.5)
    )
    names = ["scan_seg.nii.gz", "scan_probability.nii.gz", "scan_overview.png"]
    assert [path.name for path in files] == names


def test_a_run_of_digits_is_refused(tmp_path, make_run):
    with pytest.raises(UserError, match="a run of task mnist48_simple; expected one of brats"):
        list(predict_cases(make_run(task="mnist48_simple"), [tmp_path], tmp_path, threshold=0.5))


def test_a_run_that_does_not_say_how_its_data_were_made_is_refused(tmp_path, make_run):
    write_scan(tmp_path / "scan")
    with pytest.raises(UserError, match=r"data\.parameters: normalisation: missing"):
        list(predict_cases(make_run(parameters={}), [tmp_path / "scan"], tmp_path, threshold=0.5))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_folder_of_the_case_is_no_output_and_an_experts_mask_is_kept(tmp_path, make_run):
    scan, elsewhere = tmp_path / "scan", tmp_path / "masks"
    write_scan(scan)
    elsewhere.mkdir()
    expert = nib.Nifti1Image(np.ones((70, 72, 4), np.uint8), np.diag([-1.0, -1.0, 2.0, 1.0]))
    for folder in (scan, elsewhere):
        nib.save(expert, folder / "scan_seg.nii.gz")
    (tmp_path / "link").symlink_to(scan)
    before = contents(scan), contents(elsewhere)
    run = make_run("autoencoder")
    for output in (scan, tmp_path / "link", scan / ".." / "scan"):
        with pytest.raises(UserError, match="holds the files of case scan itself"):
            list(predict_cases(run, [scan], output, threshold=0.5))
    with pytest.raises(UserError, match=r"scan_seg\.nii\.gz: is there already, and nothing says"):
        list(predict_cases(run, [scan], elsewhere, threshold=0.5))
    with pytest.raises(UserError, match=r"scan_t1\.nii\.gz is a file, not a folder"):
        list(predict_cases(run, [scan], scan / "scan_t1.nii.gz", threshold=0.5))
    for output in (run, run / "predictions"):
        with pytest.raises(UserError, match=f"{output}: lies in the run folder {run}"):
            list(predict_cases(run, [scan], output, threshold=0.5))
    (tmp_path / "out/scan_prediction.json").mkdir(parents=True)
    with pytest.raises(UserError, match=r"scan_prediction\.json: is no file"):
        list(predict_cases(run, [scan], tmp_path / "out", threshold=0.5))
    assert (contents(scan), contents(elsewhere)) == before


def test_a_prediction_takes_the_place_of_another_and_leaves_none_of_its_files(tmp_path, make_run):
    write_scan(tmp_path / "scan")
    output = tmp_path / "out"
    first = list(predict_cases(make_run(), [tmp_path / "scan"], output, threshold=0.5))
    (output / "notes.txt").write_text("mine")
    second = list(
        predict_cases(make_run("autoencoder"), [tmp_path / "scan"], output, threshold=0.5)
    )
    assert len(first) == 11
    assert set(output.iterdir()) == {*second, output / "notes.txt", output / "scan_prediction.json"}


def test_several_cases_are_predicted_with_weights_read_once(tmp_path, make_run, monkeypatch):
    run, cases = make_run("autoencoder"), [tmp_path / name / "scan" for name in ("a", "b")]
    for seed, case in enumerate(cases):
        write_scan(case, seed=seed)
        for file in case.iterdir():
            file.rename(case / file.name.replace("scan", f"case{seed}"))
    alone = [list(predict_cases(run, [c], tmp_path / c.parent.name, threshold=0.5)) for c in cases]
    read = []
    monkeypatch.setattr(
        "segtrans.predict.scans.load_method", lambda *a, **k: read.append(1) or load_method(*a, **k)
    )
    together = list(predict_cases(run, cases, tmp_path / "out", threshold=0.5))
    assert read == [1]
    assert [path.name for path in together] == [path.name for of in alone for path in of]
    for path, of_one in zip(together, [path for of in alone for path in of], strict=True):
        assert path.read_bytes() == of_one.read_bytes()


def test_what_was_corrected_by_hand_is_kept(tmp_path, make_run):
    write_scan(tmp_path / "scan")
    run, output = make_run("autoencoder"), tmp_path / "out"
    list(predict_cases(run, [tmp_path / "scan"], output, threshold=0.5))
    list(predict_cases(run, [tmp_path / "scan"], output, threshold=0.6))  # its own: taken
    path = output / "scan_seg.nii.gz"
    written = nib.load(path)
    corrected = np.asarray(written.dataobj) ^ 1
    nib.save(nib.Nifti1Image(corrected, written.affine, written.header), path)
    before = contents(output)
    with pytest.raises(UserError, match=r"scan_seg\.nii\.gz: was changed since `segtrans predict`"):
        list(predict_cases(run, [tmp_path / "scan"], output, threshold=0.5))
    assert contents(output) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r"scan_seg\.nii\.gz: is there already, .*scan_prediction\.json is missing; give"),
        ("", r"scan_prediction\.json: damaged \(Expecting value.*; give another folder"),
        ("[]", r"scan_prediction\.json: damaged \(.*Input should be an object"),
        (
            '{"files": {"scan_seg.nii.gz": 1}}',
            r"damaged \(files.scan_seg.nii.gz = 1: .*scans: m",
        ),
        ('{"files": {}, "scans": []}', r"scan_prediction\.json does not list it; give"),
    ],
)
def test_a_lost_or_damaged_list_is_named_and_nothing_is_written_over(
    tmp_path, make_run, content, words
):
    write_scan(tmp_path / "scan")
    run, output = make_run("autoencoder"), tmp_path / "out"
    list(predict_cases(run, [tmp_path / "scan"], output, threshold=0.5))
    path = output / "scan_prediction.json"
    path.unlink() if content is None else path.write_text(content)
    before = contents(output)
    with pytest.raises(UserError, match=words):
        list(predict_cases(run, [tmp_path / "scan"], output, threshold=0.5))
    assert contents(output) == before


def test_another_scan_with_the_same_id_does_not_take_its_place(tmp_path, make_run):
    write_scan(tmp_path / "a" / "scan")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    path = tmp_path / "b" / "scan" / "scan_t1.nii.gz"
    scan = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(scan.dataobj) * 2, scan.affine, scan.header), path)
    run = make_run("autoencoder")
    list(predict_cases(run, [tmp_path / "a" / "scan"], tmp_path / "out", threshold=0.5))
    before = contents(tmp_path / "out")
    with pytest.raises(UserError, match="prediction of another scan with the id scan"):
        list(predict_cases(run, [tmp_path / "b" / "scan"], tmp_path / "out", threshold=0.5))
    assert contents(tmp_path / "out") == before


def test_a_folder_of_another_process_is_left_alone(tmp_path, make_run):
    write_scan(tmp_path / "scan")
    foreign = tmp_path / "out" / f".{os.getpid()}.partial.scan"
    foreign.mkdir(parents=True)
    (foreign / "x").write_text("alive")
    list(
        predict_cases(make_run("autoencoder"), [tmp_path / "scan"], tmp_path / "out", threshold=0.5)
    )
    assert (foreign / "x").read_text() == "alive"


@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_leaves_nothing_new(tmp_path, make_run, monkeypatch, there):
    write_scan(tmp_path / "scan")
    output, run = tmp_path / "new" / "out", make_run()
    if there:
        list(predict_cases(run, [tmp_path / "scan"], output, threshold=0.5))
    before = contents(output) if there else None
    write_bytes, written = Path.write_bytes, []

    def fill(path, content):
        written.append(path)
        if len(written) > 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(UserError, match=r"No space left on device\); nothing was left"):
        list(predict_cases(run, [tmp_path / "scan"], output, threshold=0.9))
    if there:
        assert contents(output) == before
        assert all(path.is_file() for path in output.iterdir())
    else:
        assert not (tmp_path / "new").exists()


def test_each_output_has_the_header_of_its_sequence(tmp_path, make_run):
    write_scan(tmp_path / "scan")
    codes = {"t1": (1, 1), "t1ce": (2, 1), "t2": (1, 4), "flair": (3, 3)}
    for suffix, (qform, sform) in codes.items():
        path = tmp_path / "scan" / f"scan_{suffix}.nii.gz"
        image = nib.load(path)
        image.set_qform(image.affine, qform)
        image.set_sform(image.affine, sform)
        image.header["descrip"] = suffix.encode()
        nib.save(image, path)
    files = list(predict_cases(make_run(), [tmp_path / "scan"], tmp_path / "out", threshold=0.5))
    names = {"t1": "t1", "t1ce": "t1c", "t2": "t2", "flair": "flair"}
    for suffix, name in names.items():
        for path in files:
            if path.name.endswith(f"_{name}.nii.gz"):
                header = nib.load(path).header
                found = (int(header["qform_code"]), int(header["sform_code"]))
                assert found == codes[suffix]
                assert header["descrip"].item() == suffix.encode()


DATA = {"normalisation": "joint", "mirror_right": False}
LIKE_THE_SCAN = {"spacing_mm": [1.0, 1.0, 2.0], "volume_shape": [70, 72, 155]}


@pytest.mark.parametrize(
    ("source", "parameters", "doubts"),
    [
        ("4 cases of BraTS", LIKE_THE_SCAN, []),
        ("made up (phantoms, no patients)", LIKE_THE_SCAN, ["trained on synthetic phantoms"]),
        ("made up", LIKE_THE_SCAN | {"phantoms": True}, ["trained on synthetic phantoms"]),
        (
            "4 cases of BraTS",
            {"spacing_mm": [1.0, 1.0, 1.0], "volume_shape": [240, 240, 155]},
            ["1 x 1 x 2 mm; the run was trained on 1 x 1 x 1 mm", "70 x 72 voxels; .* 240 x 240"],
        ),
        ("4 cases of BraTS", {}, ["does not say which spacing_mm"]),
    ],
)
def test_what_makes_a_prediction_doubtful_is_said_twice(
    tmp_path, make_run, capsys, monkeypatch, source, parameters, doubts
):
    drawn, save = [], Figure.savefig

    def keep(figure, *args, **options):
        drawn.append(" ".join(figure.get_suptitle().split()))
        return save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    write_scan(tmp_path / "scan")
    run = make_run("autoencoder", parameters=DATA | parameters, source=source)
    list(predict_cases(run, [tmp_path / "scan"], tmp_path / "out", threshold=0.5))
    said = capsys.readouterr().err
    assert said.count("segtrans: warning: scan: ") == len(doubts)
    assert drawn[0].count("Caution") == len(doubts)
    for doubt in doubts:
        assert re.search(doubt, said)
        assert re.search(doubt, drawn[0])


def test_a_sequence_that_is_empty_in_the_slice_is_drawn(tmp_path, make_run):
    write_scan(tmp_path / "scan")
    path = tmp_path / "scan" / "scan_flair.nii.gz"
    image = nib.load(path)
    voxels = np.asanyarray(image.dataobj).copy()
    voxels[:, :, 2:] = 0
    nib.save(nib.Nifti1Image(voxels, image.affine), path)
    run = make_run("autoencoder")
    for threshold in (0.999999, 0.5):
        files = list(predict_cases(run, [tmp_path / "scan"], tmp_path / "out", threshold=threshold))
        assert files[-1].read_bytes().startswith(b"\x89PNG")
