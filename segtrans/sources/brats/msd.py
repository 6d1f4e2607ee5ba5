"""Brain tumours of the Medical Segmentation Decathlon: downloaded, checked, unpacked.

Task01_BrainTumour (Antonelli et al. 2022, doi 10.1038/s41467-022-30695-9) holds the cases of BraTS
2016 and 2017: 484 with masks, and 266 without, which are left in the archive. CC BY-SA 4.0.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from segtrans.data.download.archives import extract
from segtrans.data.download.fetch import RemoteFile, fetch
from segtrans.errors import UserError

# Both by the makers, in AWS's registry of open data; the second is its copy in Europe.
MSD_MIRRORS = (
    "https://msd-for-monai.s3-us-west-2.amazonaws.com/",
    "https://msd-for-monai-eu.s3.eu-west-2.amazonaws.com/",
)
# MD5 is the only hash that is published (MONAI's DecathlonDataset checks the same).
MSD_ARCHIVE = RemoteFile(
    "Task01_BrainTumour.tar", 7_608_266_240, "md5", "240a19d752f0d9e9101544901065d872"
)
N_MSD_CASES = 484  # with masks, each of a patient

_ROOT = "Task01_BrainTumour"
_LIST = "dataset.json"
_DATA = ("imagesTr", "labelsTr", _LIST)
_NOTES = ("license", "licence", "readme")


def fetch_msd(
    folder: Path,
    *,
    downloads: Path,
    mirrors: tuple[str, ...] = MSD_MIRRORS,
    archive: RemoteFile = MSD_ARCHIVE,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Download the labelled brain tumours and unpack them; what is there and whole is kept.

    Args:
        folder: gets imagesTr, labelsTr and dataset.json; appears whole or not at all.
        downloads: where the archive is kept; it may be removed once `folder` is there.
        mirrors: addresses that end in a slash, tried in turn.
        archive: what to download.
        sleep: waits between two tries of a mirror.

    Returns:
        `folder`.

    Raises:
        UserError: no mirror gave the archive, it is not what it should be, the disk has too
            little space, or `folder` lacks some of the files that its dataset.json lists.
    """
    # The folder appears by a rename, after the archive's hash was right and every file was
    # written. So its being there says that all this was done; the archive is hashed again (half a
    # minute) only when a run was killed between download and rename.
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        extract(
            fetch(archive, downloads, mirrors=mirrors, sleep=sleep),
            folder,
            root=_ROOT,
            is_wanted=_is_wanted,
        )
    _check_whole(folder)
    return folder


def _is_wanted(path: PurePosixPath) -> bool:
    """Not the unlabelled cases (imagesTs), nor macOS's hidden companions of each file."""
    top = path.parts[0]
    is_note = len(path.parts) == 1 and path.stem.lower() in _NOTES
    is_hidden = any(part.startswith("._") for part in path.parts)
    return (top in _DATA or is_note) and not is_hidden


def _check_whole(folder: Path) -> None:
    """Compare the folder with its own list: someone else may have unpacked or thinned it."""
    remedy = "move the folder away and run again, or give it as brats.directory if it is meant so"
    try:
        listed = json.loads((folder / _LIST).read_text(encoding="utf-8"))["training"]
        names = [name for case in listed for name in (case["image"], case["label"])]
        lacking = [name for name in names if not (folder / name).is_file()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder}: its {_LIST} is missing or lists no training cases, so it cannot be told "
            f"whether all are there ({type(error).__name__}); {remedy}"
        ) from error
    if lacking:
        raise UserError(
            f"{folder}: lacks {len(lacking)} of the {len(names)} files that its {_LIST} lists, "
            f"such as {lacking[0]}; {remedy}"
        )
