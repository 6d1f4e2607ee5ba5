"""Which scans there are to predict: those of a folder and its sub-folders, or a single one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segtrans.data.walk import walk_all
from segtrans.errors import UserError, UserErrors
from segtrans.sources.own_folder.names import MASKS, channel_of, role_of
from segtrans.sources.own_folder.surveyed import Skipped
from segtrans.sources.scan_folder.channels import (
    match_channels,
    normal,
    number_channels,
    read_case_folder,
)
from segtrans.sources.scan_folder.item import ScanFiles
from segtrans.sources.scan_folder.table import TABLE, scans_by_table
from segtrans.sources.scans.case_names import recognise, stem
from segtrans.tasks.scan_folder import ScanFolder

_SINGLE = -1  # number of a file that counts no channel


@dataclass
class ListedScans:
    """What a folder holds.

    Attributes:
        folder: absolute.
        scans: in a fixed order, each called by its path below the folder.
        faults: what is no whole scan but should be, a line each.
        skipped: files that are of no scan: hidden ones, masks, and those of other kinds.
    """

    folder: Path
    scans: list[ScanFiles] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    skipped: Skipped = field(default_factory=Skipped)


def find_scans(source: Path, task: ScanFolder) -> ListedScans:
    """List the scans of a folder, or a single one.

    A scan is as in present/ of the data that a run is of: a NIfTI file, files that end in
    `_0000`, `_0001`..., or a folder with a file or a DICOM series for each channel. Such folders
    may lie in others; folders of masks are passed over. A folder with dataset.csv has the cases of
    its rows.

    Args:
        source: the folder, or a file of a scan.
        task: whose channels a scan has.

    Raises:
        UserErrors: two scans would have one name but for the case of letters.
        UserError: there is no scan, or the folder cannot be read.
    """
    if source.is_file():
        listed = ListedScans(source.parent.resolve())
        _take_file(source, task.channels, listed)
    else:
        walked = walk_all(source)
        listed = ListedScans(source.resolve(), faults=list(walked.faults))
        if source / TABLE in walked.files:
            listed.scans, faults = scans_by_table(source, walked.files, task.channels)
            if faults:
                raise UserErrors(faults)
        else:
            _take_folder(source, source, walked.files, task.channels, listed)
        used = {path for scan in listed.scans for path in scan.channels.values()}
        others = [path for path in walked.files if not used & {path, path.parent}]
        listed.skipped = Skipped(tuple(walked.hidden), tuple(others))
    if not (listed.scans or listed.faults):
        raise UserError(
            f"{source}: holds no scan; expected NIfTI files (.nii or .nii.gz) or DICOM series of "
            f"the channel{'s' * (len(task.channels) > 1)} {', '.join(task.channels)}"
        )
    _check_names(listed.scans)
    return listed


def _take_file(source: Path, channels: Sequence[str], listed: ListedScans) -> None:
    name = stem(source)
    if name is None:
        raise UserError(
            f"{source}: no NIfTI file by its name; expected .nii.gz or .nii, or the folder of a "
            "DICOM series"
        )
    if len(channels) == 1:
        listed.scans.append(ScanFiles(normal(name), {channels[0]: source}))
        return
    case = (channel_of(name) or (name,))[0]
    beside = [path for path in sorted(source.parent.iterdir()) if path.is_file()]
    numbered = [path for path in beside if (channel_of(stem(path) or "") or ("",))[0] == case]
    if numbered:
        _take_numbered(source.parent, source.parent, numbered, channels, listed)
    else:
        listed.faults.append(
            f"{source}: is one file; expected {len(channels)}, of the channels "
            f"{', '.join(channels)}: give the folder of the scan"
        )


def _take_folder(
    top: Path, place: Path, files: Sequence[Path], channels: Sequence[str], listed: ListedScans
) -> None:
    """List the scans in a folder `place` with some files below it."""
    case = read_case_folder(place, files)
    here = [path for path in files if path.parent == place and path in case.scans.values()]
    if len(channels) == 1 and "" in case.scans:
        _add(listed, top, place, {channels[0]: place})
    elif len(channels) == 1:
        for path in here:
            _add(listed, top, path.with_name(str(stem(path))), {channels[0]: path})
    elif here and all(channel_of(str(stem(path))) for path in here):
        _take_numbered(top, place, here, channels, listed)
    elif case.scans:
        _take_case(top, place, case.scans, channels, listed)
        return
    below: dict[Path, list[Path]] = {}
    for path in files:
        if path.parent != place:
            below.setdefault(place / path.relative_to(place).parts[0], []).append(path)
    for folder, within in below.items():
        if role_of(folder.name) != MASKS:
            _take_folder(top, folder, within, channels, listed)


def _take_case(
    top: Path,
    place: Path,
    scans: Mapping[str, Path],
    channels: Sequence[str],
    listed: ListedScans,
) -> None:
    found, faults = match_channels(scans, channels)
    if faults:  # the names that BraTS has for them
        known = {file.role: file.path for path in scans.values() if (file := recognise(path))}
        if set(channels) <= known.keys():
            found, faults = {name: known[name] for name in channels}, []
    listed.faults += [f"{place}: {fault}" for fault in faults]
    if not faults:
        _add(listed, top, place, found)


def _take_numbered(
    top: Path, place: Path, files: Sequence[Path], channels: Sequence[str], listed: ListedScans
) -> None:
    cases: dict[str, dict[int, Path]] = {}
    for path in files:
        case, number = channel_of(str(stem(path))) or (str(stem(path)), _SINGLE)
        cases.setdefault(case, {})[number] = path
    for case, of in cases.items():
        found, faults = number_channels(of, channels)
        listed.faults += [f"{place / case}: {fault}" for fault in faults]
        if not faults:
            _add(listed, top, place / case, found)


def _add(listed: ListedScans, top: Path, place: Path, channels: dict[str, Path]) -> None:
    listed.scans.append(ScanFiles(_name(top, place), channels))


def _name(top: Path, place: Path) -> str:
    """What a scan is called: by its path below the folder, or as the folder itself."""
    relative = place.relative_to(top).as_posix()
    return normal(place.resolve().name if relative == "." else relative)


def _check_names(scans: Sequence[ScanFiles]) -> None:
    """Refuse names that disks which know no capitals take for one.

    Raises:
        UserErrors: names each pair.
    """
    first: dict[str, ScanFiles] = {}
    faults = []
    for scan in scans:
        other = first.setdefault(scan.case_id.casefold(), scan)
        if other is not scan:
            places = [next(iter(one.channels.values())) for one in (other, scan)]
            faults.append(
                f"{places[0]} and {places[1]}: one name for both predictions, {scan.case_id}; "
                "rename or remove one"
            )
    if faults:
        raise UserErrors(faults)
