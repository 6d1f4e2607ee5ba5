"""What the names of folders and files say: who shows the target, what is a mask, which channel."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import PurePath

PRESENT, ABSENT, MASKS, TEST = "present", "absent", "masks", "test"

# The folders' names, in any case of letters; the first is ours.
FOLDERS: dict[str, tuple[str, ...]] = {
    PRESENT: (
        *("present", "pos", "positive", "defect", "defects", "defective"),
        *("abnormal", "anomaly", "anomalous", "sick"),
    ),
    ABSENT: ("absent", "neg", "negative", "good", "normal", "healthy"),
    MASKS: ("masks", "mask", "ground_truth", "groundtruth", "labels", "label"),
    TEST: ("test",),
}
LOSSLESS = frozenset({".png", ".tif", ".tiff", ".bmp", ".npy"})
LOSSY = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".webp"})
PICTURES = LOSSLESS | LOSSY
# Pictures all the same: to pass them over in silence would be to lose them.
UNREAD = frozenset(
    {
        *(".gif", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl", ".ppm", ".pgm", ".pbm"),
        *(".exr", ".hdr", ".tga", ".svg", ".psd", ".cr2", ".nef", ".dng", ".raw", ".npz", ".h5"),
        *(".dcm", ".nii", ".gz", ".mha", ".mhd", ".nrrd", ".svs", ".czi", ".zip", ".mp4", ".avi"),
    }
)

_MASK_SUFFIX = re.compile(r"(.+?)[_-](mask|masks|seg|segmentation|label|labels|gt)", re.IGNORECASE)
_CHANNEL = re.compile(r"(.+)_(\d{4})")


def role_of(folder: str) -> str | None:
    """What a folder holds by its name: present, absent, masks, test; None when it says nothing."""
    name = folder.casefold()
    return next((role for role, names in FOLDERS.items() if name in names), None)


def kind_of(path: PurePath) -> str:
    """The ending of a file, in small letters."""
    return path.suffix.lower()


def name_of(relative: PurePath) -> str:
    """A path without its ending, with slashes, and each letter in one way only (NFC)."""
    return unicodedata.normalize("NFC", relative.with_suffix("").as_posix())


def unmasked(name: str) -> str | None:
    """The name of the image that a mask's name speaks of by its ending, such as `_seg`."""
    match = _MASK_SUFFIX.fullmatch(name)
    return match[1] if match else None


def channel_of(name: str) -> tuple[str, int] | None:
    """The image and the channel, from 0, that the name of one of its files speaks of."""
    match = _CHANNEL.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def are_channels(names: Iterable[str], masks: Collection[str], n_channels: int | None) -> bool:
    """Whether `_0000` at the end of names counts the channels of an image, as nnU-Net has it.

    Frames of a video are numbered so, too. What tells is how masks are named, as one image's or as
    one file's; without any, whether most images have as many files as there are channels.

    Args:
        names: of files of images, without ending.
        masks: names of masks.
        n_channels: of an image; None when that is not known.
    """
    found = [channel for name in names if (channel := channel_of(name))]
    if any(f"{stem}_{number:04d}" in masks for stem, number in found):
        return False
    if any(stem in masks for stem, _ in found):
        return True
    counts = Counter(stem for stem, _ in found)
    complete = sum(count == n_channels for count in counts.values())
    return n_channels is not None and n_channels > 1 and 2 * complete > len(counts)
