"""Whether a folder of the user's own holds pictures or scans."""

from pathlib import Path

from segtrans.data.walk import walk_all
from segtrans.errors import UserError
from segtrans.sources.own_folder.definition import DEFINITION, read_definition
from segtrans.sources.own_folder.names import PICTURES, kind_of
from segtrans.sources.scans.case_names import stem
from segtrans.sources.scans.dicom import find_dicom
from segtrans.tasks.registry import FOLDER_KINDS

PICTURES_KIND, SCANS_KIND = "image_folder", "scan_folder"


def kind_of_folder(folder: Path) -> str:
    """The kind of task that a folder is of: as its dataset.yaml says, else by its files.

    Scans are NIfTI files, or DICOM files by their content; a folder with more pictures than of
    these is one of pictures.

    Raises:
        UserError: there is no such folder, or its dataset.yaml is refused.
    """
    if folder.is_dir() and (kind := read_definition(folder).get("kind")):
        if kind not in FOLDER_KINDS:
            raise UserError(
                f"{folder / DEFINITION}: kind = {kind}: expected {' or '.join(FOLDER_KINDS)}"
            )
        return str(kind)
    files = walk_all(folder).files
    n_pictures = sum(kind_of(path) in PICTURES for path in files)
    n_scans = sum(stem(path) is not None for path in files)
    if not n_scans and not n_pictures:
        # The files of a series often have no ending.
        n_scans = int(find_dicom(path for path in files if path.suffix != ".csv") is not None)
    n_scans += sum(kind_of(path) in (".dcm", ".ima") for path in files)
    return SCANS_KIND if n_scans > n_pictures else PICTURES_KIND
