"""Made-up patients: the form of BraTS 2017, contrasts as in a scan, a tumour on one side."""

import nibabel as nib
import numpy as np
import pytest

from segtrans.data.cases import find_cases
from segtrans.data.phantom import make_phantom, write_phantoms
from segtrans.data.volumes import read_case
from segtrans.errors import UserError

NECROSIS, OEDEMA, RIM = 1, 2, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Patients 2 (HGG) and 3 (LGG)."""
    output = tmp_path_factory.mktemp("phantoms")
    write_phantoms(output, first=2, last=4, n_patients=8, data_seed=0)
    return output


@pytest.fixture(scope="module")
def cases(folder):
    return [read_case(files, with_mask=True) for files in find_cases(folder)]


def test_files_are_those_of_brats_2017(folder, cases):
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.nii.gz"))
    assert names == [
        f"{grade}/{case}/{case}_{suffix}.nii.gz"
        for grade, case in (("HGG", "phantom_0002"), ("LGG", "phantom_0003"))
        for suffix in ("flair", "seg", "t1", "t1ce", "t2")
    ]
    for path in folder.rglob("*.nii.gz"):
        image = nib.load(path)
        assert image.shape == (240, 240, 155)
        expected = [[-1, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]]
        np.testing.assert_array_equal(image.affine, expected)
        assert image.get_data_dtype() == (np.uint8 if "_seg" in path.name else np.int16)
    stored = np.asanyarray(nib.load(folder / "HGG/phantom_0002/phantom_0002_seg.nii.gz").dataobj)
    assert np.unique(stored).tolist() == [0, 1, 2, 4]
    assert cases[0].label_convention == "1, 2, 4"


def test_a_patient_is_the_same_in_any_batch_and_another_with_another_seed(folder, tmp_path):
    write_phantoms(tmp_path / "again", first=3, last=4, n_patients=4, data_seed=0)
    again = sorted((tmp_path / "again").rglob("*.nii.gz"))
    assert len(again) == 5
    for path in again:
        before = folder / path.relative_to(tmp_path / "again")
        assert path.read_bytes() == before.read_bytes()
    other, _ = make_phantom(np.random.default_rng(1), "HGG")
    one, _ = make_phantom(np.random.default_rng(2), "HGG")
    assert (other["t1"] != one["t1"]).mean() > 0.1


def test_the_lesion_is_on_one_side_and_inside_the_brain(cases):
    for case in cases:
        lesion = case.mask > 0
        sides = [int(lesion[:120].sum()), int(lesion[120:].sum())]
        assert min(sides) == 0
        assert 15_000 < max(sides) < 160_000  # cubic millimetres
        assert (case.sequences["flair"][lesion] != 0).mean() > 0.99


def test_half_slices_of_both_domains_are_as_many_as_in_a_patient(cases):
    for case in cases:
        brain = np.any([volume != 0 for volume in case.sequences.values()], axis=0)
        assert 1_100_000 < brain.sum() < 1_950_000
        n_present = n_absent = 0
        for side in (slice(0, 120), slice(120, 240)):
            n_brain = brain[side].sum(axis=(0, 1))
            n_lesion = (case.mask[side] > 0).sum(axis=(0, 1))
            is_large = n_brain >= 7_200
            n_present += int((is_large & (n_lesion > 0) & (n_lesion >= 0.01 * n_brain)).sum())
            n_absent += int((is_large & (n_lesion == 0)).sum())
        assert 15 <= n_present <= 65
        assert 40 <= n_absent <= 110


def test_contrasts_are_those_of_the_sequences(cases):
    high, low = cases
    for case in cases:
        median = {
            name: np.median(volume[(volume > 0) & (case.mask == 0)])
            for name, volume in case.sequences.items()
        }
        for name in ("t2", "flair"):
            assert np.median(case.sequences[name][case.mask == OEDEMA]) > 1.2 * median[name]
        assert np.median(case.sequences["t1"][case.mask == NECROSIS]) < 0.8 * median["t1"]
        # Fluid, the brightest on T2, is dark on T1 and FLAIR.
        t2 = case.sequences["t2"]
        fluid = (t2 > np.percentile(t2[t2 > 0], 97)) & (case.mask == 0)
        for name in ("t1", "flair"):
            assert np.median(case.sequences[name][fluid]) < 0.7 * median[name]
    in_brain = (high.mask == 0) & (high.sequences["t1"] > 0)
    agent = {
        name: np.median(high.sequences[name][high.mask == RIM])
        / np.median(high.sequences[name][in_brain])
        for name in ("t1", "t1c")
    }
    assert agent["t1c"] > 1.3 > 1 > agent["t1"]
    assert not (low.mask == RIM).any()


def test_intensities_look_like_those_of_a_stripped_scan(cases):
    for case in cases:
        scales = [float(np.median(v[v > 0])) for v in case.sequences.values()]
        assert max(scales) / min(scales) > 1.1
        for volume in case.sequences.values():
            assert 0 < (volume < 0).sum() < 5_000  # skull-stripping undershoots
            assert not volume[:20].any()
            assert not volume[:, :20].any()


@pytest.mark.parametrize(("first", "last"), [(-1, 2), (3, 2), (0, 5)])
def test_a_range_that_is_none_is_refused(tmp_path, first, last):
    with pytest.raises(UserError, match="of 4: no such range"):
        write_phantoms(tmp_path, first=first, last=last, n_patients=4, data_seed=0)
