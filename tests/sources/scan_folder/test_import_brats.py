"""BraTS as a folder of scans: the paper's half-slices, and as few masks as are asked for."""

import csv

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from segtrans.cli import app
from segtrans.data.store import Store
from segtrans.errors import UserError
from segtrans.sources.brats.half_slices import make_half_slices
from segtrans.sources.scan_folder.definition import complete_definition
from segtrans.sources.scan_folder.import_brats import import_brats
from segtrans.sources.scan_folder.items import share_out
from segtrans.sources.scan_folder.prepare import write_scan_folder
from segtrans.sources.scans.cases import find_cases
from segtrans.sources.scans.volumes import read_case
from segtrans.tasks.parameters import HalfSliceRules

SHAPE = (240, 240, 4)
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
SEQUENCES = ("t1", "t2", "t1ce", "flair")
ABSENT, UNKNOWN = "Brats18_CBICA_AAC_1", "Brats18_CBICA_AAD_1"  # no tumour; no mask
N_CASES = 12


def write_case(folder, case_id, *, seed, codes="LPS"):
    """A brain of some slices with a tumour on one side; most has labels 1, 2 and 4."""
    rng = np.random.default_rng(seed)
    x, y, _ = np.indices(SHAPE)
    brain = ((x - 119.5) / 70) ** 2 + ((y - 119.5) / 90) ** 2 < 1
    mask = np.zeros(SHAPE, np.uint8)
    if case_id != ABSENT:
        at = 80 if seed % 2 else 150
        mask[at : at + 14, 100:130, 1:3] = rng.choice([1, 2, 4], (14, 30, 2))
        mask[119:122, 60:63, 3] = 2  # too little for P, on both sides
    volumes = {name: (brain * rng.integers(1, 1000, SHAPE)).astype(np.int16) for name in SEQUENCES}
    if case_id != UNKNOWN:
        volumes["seg"] = mask
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(AFFINE), nib.orientations.axcodes2ornt(tuple(codes))
    )
    (folder / case_id).mkdir(parents=True)
    for name, volume in volumes.items():
        image = nib.Nifti1Image(volume, AFFINE).as_reoriented(turn)
        nib.save(image, folder / case_id / f"{case_id}_{name}.nii.gz")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("brats")
    ids = [f"Brats18_CBICA_AA{letter}_1" for letter in "CDEFGHIJKLMN"]
    for seed, case_id in enumerate(ids):
        write_case(folder, case_id, seed=seed, codes="LPI" if case_id == ids[3] else "LPS")
    assert len(ids) == N_CASES
    return folder


def run(source, folder, **options):
    settings = {"labelled": None, "label_classes": None, "data_seed": 0}
    return import_brats(source, folder, **settings | options)


def table(folder):
    with (folder / "dataset.csv").open() as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def test_with_all_masks_the_data_are_the_papers_half_slices_bit_for_bit(source, tmp_path):
    lines = run(source, tmp_path / "folder")
    assert lines[0].startswith("12 cases of BraTS in the names of 2017 to 2021")
    assert lines[-1].startswith("1 cases came without a mask")
    task = complete_definition(tmp_path / "folder", {})
    write_scan_folder(
        tmp_path / "brats.h5", tmp_path / "folder", task, "brats", data_seed=0, n_processes=1
    )
    found = half_slices(tmp_path / "brats.h5")
    rules = HalfSliceRules(mirror_right=True)
    expected = {}
    for files in find_cases(source, may_lack_masks=True):
        if files.mask is None:
            continue
        case = read_case(files, with_mask=True)
        made, _ = make_half_slices(case.sequences, case.mask, rules, case_id=files.case_id)
        for domain in ("present", "absent"):
            of = getattr(made, domain)
            for k in range(len(of.side)):
                mask = (of.mask[k] != 0) if domain == "present" else None
                place = (domain, files.case_id, str(of.side[k]), int(of.slice_index[k]))
                expected[place] = (of.image[k], mask)
    present = [place for place in expected if place[0] == "present"]
    assert len(present) == 2 * 10
    assert ("present", ABSENT) not in {place[:2] for place in found}
    assert found.keys() == expected.keys()
    for place, (image, mask) in expected.items():
        np.testing.assert_array_equal(found[place][0], image)
        if mask is not None:
            np.testing.assert_array_equal(found[place][1], mask)
    assert {fold_of for *_, fold_of in found.values()} == {"train", "valid", "test"}


def half_slices(path):
    """Image, mask and fold by domain, case, side and slice."""
    store = Store(path)
    found = {}
    for fold in ("train", "valid", "test"):
        for domain in ("present", "absent"):
            provenance = store.provenance(fold, domain)
            n = store.n(fold, domain)
            images = store.images(fold, domain, np.arange(n))
            masks = store.masks(fold, np.arange(n)) if domain == "present" else [None] * n
            for k in range(n):
                place = [str(provenance[name][k]) for name in ("case_id", "side")]
                key = (domain, *place, int(provenance["slice_index"][k]))
                found[key] = (images[k], masks[k], fold)
    return found


def test_few_masks_are_kept_and_of_others_is_said_what_shows_the_tumour(source, tmp_path):
    folder = tmp_path / "few"
    lines = run(source, folder, labelled=0.2)
    rows = table(folder)
    train = {name: row for name, row in rows.items() if row["fold"] == "train"}
    present = {name: row for name, row in train.items() if row["domain"] == "present"}
    with_mask = [name for name, row in present.items() if row["mask"]]
    listed = [name for name, row in present.items() if row["slices"]]
    assert len(train) == 10
    assert 1 <= len(with_mask) <= 2
    assert len(with_mask) + len(listed) + 1 == len(present)
    assert all(row["mask"] for name, row in rows.items() if row["fold"] != "train" and
               row["domain"] == "present")  # fmt: skip
    assert lines[1] == (
        f"train: {len(present)} present cases, {len(with_mask)} of them with a mask and "
        f"{len(listed)} with a list of the slices that show the tumour; "
        f"{len(train) - len(present)} absent"
    )
    for name in listed:
        seed = sorted(rows).index(name)
        side, other = ("R", "L") if seed % 2 else ("L", "R")
        shown = {"side": (2, 4), "other": (4, 4)}  # of slices 1 to 4
        if seed == 3:  # stored from the head down
            shown = {"side": (1, 3), "other": (1, 1)}
        one, both = (f"{a}-{b}" if a < b else f"{a}" for a, b in shown.values())
        ranges = {side: f"{side}{one}", other: f"{other}{both}"}
        assert rows[name]["slices"] == f"{ranges['R']} {ranges['L']}"
    items, _ = share_out(folder, complete_definition(folder, {}), data_seed=0)
    assert len(items) == N_CASES
    same = run(source, tmp_path / "again", labelled=0.2)
    assert same == lines
    assert table(tmp_path / "again") == rows
    run(source, tmp_path / "other", labelled=0.2, data_seed=1)
    assert table(tmp_path / "other") != rows


def test_scans_take_no_room_and_the_source_stays_as_it_is(source, tmp_path):
    before = {path: path.read_bytes() for path in source.rglob("*.nii.gz")}
    folder = tmp_path / "folder"
    run(source, folder)
    row = table(folder)["Brats18_CBICA_AAE_1"]
    scan, given = (
        folder / row["t1c"],
        source / "Brats18_CBICA_AAE_1/Brats18_CBICA_AAE_1_t1ce.nii.gz",
    )
    assert scan.read_bytes() == given.read_bytes()
    if scan.stat().st_dev == given.stat().st_dev:
        assert scan.samefile(given)
    assert {path: path.read_bytes() for path in source.rglob("*.nii.gz")} == before
    with pytest.raises(UserError, match="folder: not empty; nothing is written over"):
        run(source, folder)
    with pytest.raises(UserError, match="nowhere: no such folder"):
        run(tmp_path / "nowhere", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_files_of_four_volumes_are_taken_apart(tmp_path):
    rng = np.random.default_rng(0)
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / "msd" / part).mkdir(parents=True)
    volumes = {}
    for number in range(4):
        name = f"BRATS_00{number}"
        volumes[name] = rng.integers(1, 900, (12, 14, 3, 4)).astype(np.int16)
        volumes[name][0] = 0
        label = np.zeros((12, 14, 3), np.uint8)
        label[2:5, 2:5, 1] = rng.integers(1, 4, (3, 3))
        affine = np.diag([1.0, 1.0, 1.0, 1.0])
        nib.save(nib.Nifti1Image(volumes[name], affine), tmp_path / f"msd/imagesTr/{name}.nii.gz")
        nib.save(nib.Nifti1Image(label, affine), tmp_path / f"msd/labelsTr/{name}.nii.gz")
    run(tmp_path / "msd", tmp_path / "folder")
    row = table(tmp_path / "folder")["BRATS_001"]
    for channel, number in {"flair": 0, "t1": 1, "t1c": 2, "t2": 3}.items():
        image = nib.load(tmp_path / "folder" / row[channel])
        np.testing.assert_array_equal(np.asarray(image.dataobj), volumes["BRATS_001"][..., number])
        assert image.get_data_dtype() == np.int16
    mask = nib.load(tmp_path / "folder" / row["mask"])
    assert np.asarray(mask.dataobj).sum() == 9


def test_the_command_says_what_it_wrote_and_refuses_what_is_not_its_own(source, tmp_path):
    def invoke(*options, layout="brats", to="new"):
        command = ["import", layout, str(source), str(tmp_path / to), *options]
        return CliRunner().invoke(app, command)

    done = invoke("--labelled", "0.1", "--label-classes", "1,1,1,3", to="made")
    assert done.exit_code == 0, done.exception
    assert "train: " in done.stdout
    for options, message in [
        (["--label-classes", "1,x"], "--label-classes 1,x: expected whole numbers"),
        (["--label-classes", "0,0"], r"--label-classes = \(0, 0\): makes no label a lesion"),
        (["--label-classes", "1,2"], r"label 4 is unknown; expected 0 and 1, 2"),
        (["--presence", str(source)], "--presence: is for pictures"),
    ]:
        with pytest.raises(UserError, match=message):
            raise invoke(*options).exception
    with pytest.raises(UserError, match="--labelled, --label-classes: are for brats"):
        raise invoke("--labelled", "0.1", layout="msd").exception
    assert not (tmp_path / "new").exists()
