"""Label maps that a header's type scaled: read as the labels that were meant."""

import nibabel as nib
import numpy as np
import pytest

from segtrans.errors import UserError
from segtrans.sources.scan_folder import labels as own_labels
from segtrans.sources.scans import masks as brats_masks
from tests.sources.scan_folder.folders import task


def brats(stored, path):
    return brats_masks.classes_of(stored, path, "BraTS", None)[0]


def own(stored, path):
    return own_labels.classes_of(stored, path, task(classes={"a": 1, "b": 2, "c": 3, "d": 4}))


@pytest.mark.parametrize(("read", "of_4"), [(brats, 3), (own, 4)])
def test_labels_saved_as_floats_under_a_header_of_8_bits_are_read(tmp_path, read, of_4):
    """As nibabel saves what `get_fdata` gave under the same header: no voxel is 1 any more."""
    labels = np.resize(np.array([0, 1, 2, 4], np.uint8), (4, 4, 4))
    whole = nib.Nifti1Image(labels, np.eye(4))
    scaled = nib.Nifti1Image(whole.get_fdata(), whole.affine, whole.header)
    nib.save(scaled, tmp_path / "labels.nii")
    stored = nib.load(tmp_path / "labels.nii").get_fdata()
    assert not (stored == 1).any()
    np.testing.assert_array_equal(read(stored, "labels.nii"), np.where(labels == 4, of_4, labels))


@pytest.mark.parametrize("read", [brats, own])
@pytest.mark.parametrize("values", [[0, 0.5, 1], [0, 1.02, 2], [0, 1, 3.9]])
def test_what_no_slope_explains_is_refused(read, values):
    with pytest.raises(UserError, match=r"labels\.nii: "):
        read(np.array(values), "labels.nii")
