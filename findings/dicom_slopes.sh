#!/usr/bin/env bash
# A DICOM series in which each slice has a rescale slope, as PET has: are the values the same when the first one's is 1?
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import SimpleITK
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid

STORED = 1001


def write(folder, slopes):
    folder.mkdir()
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for i, slope in enumerate(slopes):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = PositronEmissionTomographyImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        slice_ = FileDataset(str(folder), {}, file_meta=meta, preamble=bytes(128))
        slice_.SOPClassUID = meta.MediaStorageSOPClassUID
        slice_.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        slice_.StudyInstanceUID, slice_.SeriesInstanceUID = study, series
        slice_.FrameOfReferenceUID, slice_.Modality, slice_.PatientID = frame, "PT", "one"
        slice_.InstanceNumber, slice_.ImagePositionPatient = i + 1, [0, 0, 2 * i]
        slice_.ImageOrientationPatient, slice_.PixelSpacing = [1, 0, 0, 0, 1, 0], [1, 1]
        slice_.Rows = slice_.Columns = 4
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated = slice_.BitsStored = 16
        slice_.HighBit, slice_.PixelRepresentation = 15, 1
        slice_.RescaleSlope, slice_.RescaleIntercept = slope, 0
        slice_.PixelData = np.full((4, 4), STORED, np.int16).tobytes()
        slice_.save_as(folder / f"{i}.dcm", enforce_file_format=True)


def values(folder):
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    volume = reader.Execute()
    return volume.GetPixelIDTypeAsString(), SimpleITK.GetArrayFromImage(volume)[:, 0, 0].tolist()


print("SimpleITK", version("SimpleITK"))
seen = {}
for name, slopes in {"1 first": (1, 0.5, 0.25), "0.5 first": (0.5, 1, 0.25)}.items():
    write(Path(name), slopes)
    kind, seen[name] = values(name)
    print(f"{name}: {kind}, {seen[name]}, meant {[STORED * slope for slope in slopes]}")
is_as_seen = seen == {"1 first": [1001, 500, 250], "0.5 first": [500.5, 1001.0, 250.25]}
sys.exit(0 if is_as_seen else "changed: the first slice's type used to cut off the others' fractions")
PY
