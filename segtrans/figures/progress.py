"""How a run came to translate: the same validation images at several times of its training."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtrans.config.runs import read_run
from segtrans.data.values import is_target
from segtrans.figures.examples import COLOURS
from segtrans.figures.image_rows import Block, Row, rows_figure
from segtrans.methods.frames import FILE, Frames

# Black and white: a few bright vessels must not darken the rest.
_PERCENTILES = (0.5, 99.5)

Bytes = NDArray[np.uint8]


def write_progress(run_folder: Path) -> None:
    """Write progress.png into the run folder, if its training kept frames; else remove an old one.

    Raises:
        UserError: a file is damaged.
    """
    output = run_folder / "progress.png"
    if not (run_folder / FILE).exists():
        output.unlink(missing_ok=True)
        return
    run, frames = read_run(run_folder), Frames.read(run_folder / FILE)
    progress_figure(
        frames,
        run.config.definition.channels,
        output,
        title=f"{run.title}, {run.task_title}: validation images in training",
    )


def progress_figure(frames: Frames, channels: tuple[str, ...], output: Path, *, title: str) -> None:
    """Draw a column for each frame, behind the image and its mask; two rows for each image.

    Args:
        frames: at least one.
        channels: names; three colours are drawn as such, of others the last one.
        output: file to write.
        title: above.
    """
    if channels != COLOURS and len(channels) > 1:
        title = f"{title}, {channels[-1]}"
    rows = [
        row
        for i in range(len(frames.x))
        for row in (
            _image_row([frames.x[i], *frames.x_PA[:, i]], channels),
            Row(r"segmentation, $\hat{y}$", _maps(frames.y[i], frames.y_seg[:, i])),
        )
    ]
    columns = ["image, mask", *(f"{iteration:,}" for iteration in frames.iterations)]
    rows_figure([Block(title, rows, columns=columns)], output)


def _image_row(images: list[Bytes], channels: tuple[str, ...]) -> Row:
    """Images (C, H, W), the first of which gives black and white."""
    label, values = "translation, $x_{PA}$", np.stack(images).astype(np.float32) / 255
    if channels == COLOURS:
        return Row(label, np.moveaxis(values, 1, -1))
    low, high = np.percentile(values[0, -1], _PERCENTILES)
    return Row(label, values[:, -1], limits=(float(low), float(max(high, low + 1 / 255))))


def _maps(mask: Bytes, y_seg: Bytes) -> NDArray[np.float32]:
    shown = is_target(mask[None]).astype(np.float32)
    return np.concatenate([shown, y_seg.astype(np.float32) / 255])
