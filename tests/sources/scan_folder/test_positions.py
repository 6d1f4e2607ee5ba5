"""Absence drawn where presence is, and what the check says of positions before and after."""

import numpy as np

from segtrans.sources.own_folder.shortcuts import auc_of
from segtrans.sources.scan_folder.check import check_folder, find_shortcuts
from segtrans.sources.scan_folder.measures import PLACE
from segtrans.sources.scan_folder.positions import drawn_as_present
from tests.sources.scan_folder.folders import save, scan, task

SHAPE = (40, 44, 24)


def test_places_along_the_axis_no_longer_tell_the_domains_apart():
    rng = np.random.default_rng(0)
    present, absent = rng.normal(0.7, 0.06, 400).clip(0, 1), rng.uniform(0, 1, 9000)

    def told(of_absent):
        is_present = np.repeat([True, False], [len(present), len(of_absent)])
        return auc_of(np.abs(np.concatenate([present, of_absent]) - 0.7), is_present)

    kept = drawn_as_present(present, absent, seed=(3,))
    assert told(absent) < 0.2
    assert abs(told(absent[kept]) - 0.5) < 0.05
    histograms = [np.histogram(of, 20, (0, 1))[0] for of in (present, absent[kept])]
    ratios = histograms[1][histograms[0] > 0] / histograms[0][histograms[0] > 0]
    assert ratios.min() >= 1 or (histograms[0] > 300).any()
    assert (histograms[1][histograms[0] == 0] == 0).all()
    assert (kept == drawn_as_present(present, absent, seed=(3,))).all()
    assert (kept != drawn_as_present(present, absent, seed=(4,))).any()


def test_scarce_absence_is_kept_and_nothing_is_drawn_without_presence():
    present, absent = np.array([0.5] * 10 + [0.1]), np.array([0.5] * 3 + [0.9] * 4)
    assert drawn_as_present(present, absent, seed=(0,)).tolist() == [True] * 3 + [False] * 4
    assert not drawn_as_present(present[:0], absent, seed=(0,)).any()


def test_the_check_warns_of_positions_before_and_not_after(tmp_path):
    """The target is near the upper end of every present scan; absence is in the others too."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "livers"
    for number in range(6):
        volume, _ = scan(rng, SHAPE, shows_target=False)
        mask = np.zeros(SHAPE, np.uint8)
        mask[16:24, 18:26, 20:23] = 1
        save(folder / "present" / f"p{number}.nii.gz", volume + 80 * mask)
        save(folder / "masks" / f"p{number}.nii.gz", mask)
        save(folder / "absent" / f"a{number}.nii.gz", scan(rng, SHAPE, shows_target=False)[0])
    told = {}
    for positions in ("all", "as_present"):
        used = task(absent_positions=positions, absent_from_present="never")
        checked = check_folder(folder, used)
        assert checked.faults == []
        told[positions] = {one.name: one for one in find_shortcuts(checked.facts, used)}
    assert told["all"][PLACE].tells
    assert told["as_present"][PLACE].auc < 0.7
