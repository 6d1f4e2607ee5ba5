#!/usr/bin/env bash
# A DICOM segmentation (SEG) of two lesions on three of six slices: what volume does SimpleITK make of it?
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check highdicom==0.28.2 SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import highdicom
import numpy as np
import SimpleITK
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

N_SLICES, DISTANCE = 6, 3.0
study, series, frame = generate_uid(), generate_uid(), generate_uid()


def slice_at(i):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one = FileDataset("slice", {}, file_meta=meta, preamble=bytes(128))
    one.SOPClassUID, one.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame
    one.Modality, one.PatientID, one.SeriesNumber, one.InstanceNumber = "MR", "one", 1, i + 1
    for name in (
        "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber",
        "StudyDate", "StudyTime", "ReferringPhysicianName", "PositionReferenceIndicator",
    ):
        setattr(one, name, "")
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, DISTANCE * i], [1, 0, 0, 0, 1, 0]
    one.PixelSpacing, one.SliceThickness, one.Rows, one.Columns = [1, 1], DISTANCE, 8, 8
    one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 0
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit, one.PixelData = 15, bytes(2 * 8 * 8)
    return one


def described(number):
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=f"lesion {number}",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
    )


mask = np.zeros((N_SLICES, 8, 8, 2), np.uint8)
mask[1:3, 2:5, 2:5, 0] = 1
mask[4, 5:7, 5:7, 1] = 1
highdicom.seg.Segmentation(
    source_images=[slice_at(i) for i in range(N_SLICES)],
    pixel_array=mask,
    segmentation_type="BINARY",
    segment_descriptions=[described(1), described(2)],
    series_instance_uid=generate_uid(),
    series_number=2,
    sop_instance_uid=generate_uid(),
    instance_number=1,
    manufacturer="none",
    manufacturer_model_name="none",
    software_versions="1",
    device_serial_number="1",
).save_as("seg.dcm")

volume = SimpleITK.ReadImage("seg.dcm")
voxels = SimpleITK.GetArrayFromImage(volume)
print("highdicom", version("highdicom"), "SimpleITK", version("SimpleITK"))
print("meant: 6 slices, 3 mm apart, from 0 mm; lesion 1 on slices 1 and 2, lesion 2 on slice 4")
print(f"read: {len(voxels)} slices, {volume.GetSpacing()[2]} mm apart, from {volume.GetOrigin()[2]} mm")
print(f"pixels of each: {(voxels > 0).sum(axis=(1, 2)).tolist()}, values {np.unique(voxels).tolist()}")
is_as_seen = (
    voxels.shape == (3, 8, 8)
    and volume.GetSpacing()[2] == 1.0
    and volume.GetOrigin()[2] == 6.0
    and (voxels > 0).sum(axis=(1, 2)).tolist() == [9, 9, 4]
    and np.unique(voxels).tolist() == [0, 255]
)
sys.exit(0 if is_as_seen else "changed: frames of all segments used to be stacked as one volume")
PY
