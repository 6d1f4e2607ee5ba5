"""A run on pictures as a registered model serves it."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from skimage.data import camera

from segtrans.config.runs import read_run
from segtrans.errors import UserError
from segtrans.predict.served import PictureSegmenter
from tests.predict.picture_runs import write_run


def as_png(pixels):
    content = BytesIO()
    Image.fromarray(pixels).save(content, "png")
    return content.getvalue()


@pytest.mark.parametrize("type_", ["uint8", None])
def test_a_picture_of_another_type_than_those_of_the_training_is_told(tmp_path, type_):
    served = PictureSegmenter(read_run(write_run(tmp_path, "autoencoder", type_=type_)))
    grey = camera()[:50, :60]
    doubts = [
        served.segment(as_png(pixels), 0.5)["doubt"]
        for pixels in (grey, grey.astype(np.uint16) * 257)
    ]
    assert doubts[0] == ""
    if type_ is None:
        assert doubts[1] == ""
    else:
        assert doubts[1].startswith("the picture holds uint16, and the run was trained on uint8: 1")


def test_values_that_the_run_does_not_take_are_refused(tmp_path):
    served = PictureSegmenter(read_run(write_run(tmp_path, "autoencoder", type_="float32")))
    content = BytesIO()
    np.save(content, camera()[:50, :60].astype(np.float32))
    with pytest.raises(UserError, match="values are 197 to 210, which intensity"):
        served.segment(content.getvalue(), 0.5)
