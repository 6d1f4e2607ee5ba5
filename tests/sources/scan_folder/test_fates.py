"""Which slices are of P, of A, of neither: by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segtrans.sources.scan_folder.fates import fates_of
from segtrans.sources.scan_folder.item import Listed, ScanFiles, ScanItem
from segtrans.tasks.base import VOID
from tests.sources.scan_folder.folders import task

ITEM = ScanItem(ScanFiles("p", {}), "present", None, None, "p", None, "present/p")
MASKED = replace(ITEM, mask=Path("masks/p.nii.gz"))
NUMBERS = np.arange(6, 0, -1)  # the file runs the other way


@pytest.fixture
def content():
    """Six slices of 10 x 10: nothing, 4 pixels, and four of 50."""
    content = np.zeros((6, 10, 10), bool)
    content[1, 0, :4] = True
    content[2:, :5] = True
    return content


def fates(item, content, mask=None, **values):
    values = {"min_target_fraction": 0.04} | values
    return fates_of(item, "whole", content, mask, NUMBERS, task(**values)).tolist()


SMALL = ["small_content"] * 2


def test_an_absent_scan_is_absent_where_there_is_enough_of_it(content):
    item = replace(ITEM, domain="absent")
    assert fates(item, content) == SMALL + ["absent"] * 4
    least = fates(item, content, min_content_fraction=0.04)
    assert least == ["small_content"] + ["absent"] * 5
    # Without a least share a slice of nothing is no image still.
    assert fates(item, content, min_content_fraction=0.0)[0] == "small_content"


def test_a_mask_says_it_slice_by_slice(content):
    mask = np.zeros(content.shape, np.uint8)
    mask[:2, 0, :4] = 1  # where there is no content worth it
    mask[2, 0, :2] = 1  # 2 of 50: just enough
    mask[3, 0, 0] = 1  # 1 of 50: too little
    mask[4, 9, :9] = 1  # in the background alone
    assert fates(MASKED, content, mask) == [
        *SMALL,
        "present",
        "small_target",
        "small_target",
        "absent",
    ]
    mask[5, 0, 0] = VOID  # nobody knows whether that is the target
    assert fates(MASKED, content, mask)[5] == "small_target"
    mask[5] = 0
    assert fates(MASKED, content, mask, absent_from_present="never")[5] == "unlisted"


def test_a_scan_without_a_mask_is_present_as_a_whole_or_where_it_is_listed(content):
    assert fates(ITEM, content) == SMALL + ["present"] * 4
    assert fates(ITEM, content, unlabelled="listed") == SMALL + ["unlisted"] * 4
    listed = replace(ITEM, slices=(Listed(1, 1), Listed(3, 5)))  # places 5 and 1 to 3
    expected = ["present", "present", "unlisted", "present"]
    assert fates(listed, content) == SMALL + expected
    assert fates(listed, content, unlabelled="listed") == SMALL + expected
    others = fates(listed, content, absent_from_present="lists")
    assert others == [*SMALL, "present", "present", "absent", "present"]


def test_a_list_may_name_a_side(content):
    item = replace(ITEM, slices=(Listed(1, 1, "right"), Listed(2, 2)))
    halves = task(halves=True, absent_from_present="lists")
    by_side = {
        side: fates_of(item, side, content, None, NUMBERS, halves).tolist()[4:]
        for side in ("right", "left")
    }
    assert by_side == {"right": ["present", "present"], "left": ["present", "absent"]}
