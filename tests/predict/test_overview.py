"""The picture of a prediction, whatever its slice shows."""

import numpy as np
import pytest

from segtrans.predict.made import Made
from segtrans.predict.overview import Drawn, overview_figure
from segtrans.sources.brats.half_slices import brain_of


@pytest.mark.parametrize("translates", [False, True])
def test_a_sequence_may_be_empty_in_the_slice_that_is_drawn(tmp_path, translates):
    volumes = {
        name: np.random.default_rng(0).uniform(1, 9, (30, 32, 4)) for name in ("t1", "flair")
    }
    volumes["flair"][..., 2] = 0  # cut off above, while T1 goes on
    segmentation = np.zeros((30, 32, 4), np.uint8)
    segmentation[10:20, 10:20, 2] = 1
    halves = {name: volume / 2 for name, volume in volumes.items()} if translates else {}
    made = Made({"": segmentation.astype(np.float32)}, halves, {"": halves})
    output = tmp_path / "overview.png"
    drawn = Drawn(volumes, brain_of(volumes), made, {"": segmentation})
    overview_figure(drawn, output, title="one patient")
    assert output.read_bytes().startswith(b"\x89PNG")
