"""Every layout that BraTS has had is found, and what does not fit is named."""

import json
import os
from pathlib import Path

import pytest

from segtrans.errors import UserError
from segtrans.sources.scans.case_names import BRATS_2017, BRATS_2023, MSD, patient_of
from segtrans.sources.scans.cases import describe, find_case, find_cases, source_files

OF_2017 = {"t1": "_t1", "t2": "_t2", "t1c": "_t1ce", "flair": "_flair", "mask": "_seg"}
OF_2023 = {"t1": "-t1n", "t2": "-t2w", "t1c": "-t1c", "flair": "-t2f", "mask": "-seg"}


def make(folder, case_id, suffixes=OF_2017, *, ending=".nii.gz", without=()):
    """Empty files: what is found depends on names alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, suffix in suffixes.items():
        if name not in without:
            (folder / f"{case_id}{suffix}{ending}").touch()
    return folder


def decathlon(folder, *numbers):
    for place in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for number in numbers:
        for place in ("imagesTr", "labelsTr"):
            (folder / place / f"BRATS_{number:03d}.nii.gz").touch()
    (folder / "imagesTs" / "BRATS_900.nii.gz").touch()
    return folder


def only(folder):
    (case,) = find_cases(folder)
    return case


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("case_id", "suffixes", "layout", "year"),
    [
        ("Brats17_TCIA_010_1", OF_2017, BRATS_2017, "2017"),
        ("Brats18_CBICA_AAP_1", OF_2017, BRATS_2017, "2018"),
        ("BraTS19_2013_0_1", OF_2017, BRATS_2017, "2019"),
        ("BraTS20_Training_001", OF_2017, BRATS_2017, "2020"),
        ("BraTS2021_00000", OF_2017, BRATS_2017, "2021"),
        ("TCGA-DU-7294", OF_2017, BRATS_2017, None),
        ("BraTS-GLI-00000-000", OF_2023, BRATS_2023, None),
        ("clinic.7_a", OF_2023, BRATS_2023, None),
    ],
)
def test_layout_and_year_are_told_by_the_names(tmp_path, case_id, suffixes, layout, year, ending):
    make(tmp_path / case_id, case_id, suffixes, ending=ending)
    case = only(tmp_path)
    assert (case.case_id, case.layout, case.grade) == (case_id, layout, None)
    assert list(case.sequences) == ["t1", "t2", "t1c", "flair"]
    for name, path in (case.sequences | {"mask": case.mask}).items():
        assert path == tmp_path / case_id / f"{case_id}{suffixes[name]}{ending}"
    text = describe([case])
    assert text.startswith("1 case of BraTS in the names of 20")
    assert (f"year {year}" in text) == (year is not None)
    assert "1 of unknown grade" in text


def test_grades_come_from_folders_or_from_the_table_of_2020(tmp_path):
    make(tmp_path / "a" / "HGG" / "x1", "x1")
    make(tmp_path / "a" / "LGG" / "x2", "x2")
    make(tmp_path / "a" / "x3", "x3")
    assert [case.grade for case in find_cases(tmp_path / "a")] == ["HGG", "LGG", None]
    for case in ("BraTS20_Training_001", "BraTS20_Training_002"):
        make(tmp_path / "b" / case, case)
    (tmp_path / "b" / "name_mapping.csv").write_text(
        "Grade,BraTS_2020_subject_ID\nHGG,BraTS20_Training_001\nLGG,BraTS20_Training_002\n"
    )
    cases = find_cases(tmp_path / "b")
    assert [case.grade for case in cases] == ["HGG", "LGG"]
    assert describe(cases).endswith("year 2020 by their ids: 1 HGG, 1 LGG")


def test_cases_are_in_the_order_of_their_ids_however_deep_and_hidden_files_are_not_seen(tmp_path):
    make(tmp_path / "z" / "deep" / "down", "a")
    make(tmp_path / "b", "b")
    (tmp_path / "b" / "._b_t1.nii.gz").touch()
    (tmp_path / "b" / "notes.txt").touch()
    assert [case.case_id for case in find_cases(tmp_path)] == ["a", "b"]


def test_the_decathlon_is_one_file_of_four_sequences(tmp_path):
    decathlon(tmp_path, 2, 1)
    cases = find_cases(tmp_path)
    assert [case.case_id for case in cases] == ["BRATS_001", "BRATS_002"]
    image = tmp_path / "imagesTr" / "BRATS_001.nii.gz"
    assert set(cases[0].sequences.values()) == {image}
    assert cases[0].mask == tmp_path / "labelsTr" / "BRATS_001.nii.gz"
    assert cases[0].layout == MSD
    assert find_case(image) == cases[0]
    assert find_case(tmp_path / "imagesTs" / "BRATS_900.nii.gz").mask is None
    names = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}
    (tmp_path / "dataset.json").write_text(json.dumps({"modality": names}))
    assert find_cases(tmp_path) == cases
    names["0"], names["1"] = names["1"], names["0"]
    (tmp_path / "dataset.json").write_text(json.dumps({"modality": names}))
    with pytest.raises(UserError, match="lists the channels T1w, FLAIR"):
        find_cases(tmp_path)


def test_phantoms_are_said_to_be_no_patients(tmp_path):
    make(tmp_path / "HGG" / "phantom_0001", "phantom_0001")
    text = describe(find_cases(tmp_path))
    assert text == "1 case of synthetic phantoms made from the MNI152 brain (no patients): 1 HGG"


def two_files(folder):
    make(folder, "a")
    (folder / "a_t1.nii").touch()


def twice(folder):
    make(folder / "x", "a")
    make(folder / "y", "a")


def mixed(folder):
    make(folder / "x", "a")
    make(folder / "y", "b", OF_2023)


BAD = {
    "missing sequence": (
        lambda folder: make(folder, "a", without=("t1c",)),
        ["case a lacks t1c", "expected a_t1ce", ".nii.gz or .nii"],
    ),
    "missing mask": (
        lambda folder: make(folder, "a", without=("mask",)),
        ["case a has no mask", "a_seg.nii.gz"],
    ),
    "two files": (two_files, ["case a has two files for its t1", "a_t1.nii and a_t1.nii.gz"]),
    "twice": (twice, ["case a lies in", "keep one"]),
    "mixed": (mixed, ["mixes layouts", "2017 to 2021", "2023 onward"]),
    "nothing": (lambda folder: folder.mkdir(), ["no case in it", "expected NIfTI files"]),
    "no folder": (lambda folder: None, ["no such folder"]),
    "no mask in the Decathlon": (
        lambda folder: (decathlon(folder, 1) / "labelsTr" / "BRATS_001.nii.gz").unlink(),
        ["BRATS_001 has no mask", "labelsTr/BRATS_001.nii.gz"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_one_line_that_names_it(tmp_path, name):
    spoil, words = BAD[name]
    spoil(tmp_path / "cases")
    with pytest.raises(UserError) as refusal:
        find_cases(tmp_path / "cases")
    assert "\n" not in str(refusal.value)
    for word in (*words, "cases"):
        assert word in str(refusal.value)


def test_one_case_needs_no_mask_and_must_be_one(tmp_path):
    make(tmp_path / "one", "a", without=("mask",))
    assert find_case(tmp_path / "one").mask is None
    make(tmp_path / "two", "b", without=("mask",))
    with pytest.raises(UserError, match=r"holds 2 cases \(a, b\.\.\.\), .* such as .*a_t1.nii.gz"):
        find_case(tmp_path)
    (tmp_path / "scan.dcm").touch()
    with pytest.raises(UserError, match="no NIfTI file by its name"):
        find_case(tmp_path / "scan.dcm")


@pytest.mark.parametrize("name", ["a_t1ce.nii.gz", "a", "a_seg.nii.gz"])
def test_one_case_of_a_flat_folder_is_named_by_a_file_or_what_all_begin_with(
    tmp_path, monkeypatch, name
):
    for case_id in ("a", "b", "ab"):
        make(tmp_path, case_id)
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path, Path()):
        case = find_case(place / name)
        assert case.case_id == "a"
        assert {path.name for path in case.sequences.values()} == {
            f"a_{suffix}.nii.gz" for suffix in ("t1", "t2", "t1ce", "flair")
        }
    with pytest.raises(UserError, match=r"/c: no such folder"):
        find_case(tmp_path / "c")


@pytest.mark.parametrize("ending", ["residual", "translation"])
def test_a_case_that_is_named_as_an_output_is_told_so(tmp_path, ending):
    make(tmp_path / "some", f"x_{ending}")
    words = rf"x_{ending}_flair.nii.gz is passed over: it is named as an output .* rename its case"
    with pytest.raises(UserError, match=f"case x_{ending} lacks t1, t2, flair; .*{words}"):
        find_cases(tmp_path / "some")
    make(tmp_path / "some", f"x_{ending}", {"t1c": "_t1c"})
    (tmp_path / "some" / f"x_{ending}_t1ce.nii.gz").unlink()
    with pytest.raises(UserError, match=words):
        find_cases(tmp_path / "some")
    make(tmp_path / "some", "y")
    with pytest.raises(UserError, match=rf"x_{ending}_seg.nii.gz: is a mask .*{words}"):
        find_cases(tmp_path / "some")
    with pytest.raises(UserError, match="named as an output of `segtrans predict`"):
        find_case(tmp_path / "some" / f"x_{ending}_t1.nii.gz")


def test_a_folder_named_like_a_file_is_hinted_at(tmp_path):
    make(tmp_path, "a", without=("flair",))
    (tmp_path / "a_flair.nii.gz").mkdir()
    with pytest.raises(UserError, match=r"lacks flair; .*a_flair.nii.gz beside it is a folder"):
        find_cases(tmp_path)
    (tmp_path / "a_flair.nii.gz" / "0_brain_flair.nii").touch()
    with pytest.raises(UserError, match=r"; a_flair.nii.gz is a folder named like a file: put all"):
        find_case(tmp_path / "a_flair.nii.gz")


def test_tables_are_found_in_any_capitals_and_only_once(tmp_path):
    make(tmp_path, "a")
    make(tmp_path, "b")
    (tmp_path / "Dataset.CSV").write_text("case_id, patient\na, p\nb, P\n")
    (tmp_path / "Name_Mapping.csv").write_text("Grade,BraTS_2020_subject_ID\nHGG,a\n")
    assert [(case.patient, case.grade) for case in find_cases(tmp_path)] == [
        ("p", "HGG"),
        ("p", None),
    ]
    assert {"Dataset.CSV", "Name_Mapping.csv"} < {path.name for path in source_files(tmp_path)}
    for name in ("dataset.csv", "NAME_mapping.csv"):
        (tmp_path / name).mkdir()
        with pytest.raises(UserError, match=r"and .*: two tables of one name; keep one"):
            find_cases(tmp_path)
        (tmp_path / name).rmdir()
    (tmp_path / "Dataset.CSV").unlink()
    (tmp_path / "DATASET.csv").mkdir()
    with pytest.raises(UserError, match=r"DATASET.csv: is no file; expected the table"):
        find_cases(tmp_path)


def test_a_dataset_json_speaks_only_for_the_decathlons_own_folders(tmp_path):
    other = json.dumps({"modality": {"0": "CT"}})
    for place in ("imagesTs", "mine"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "scan.nii.gz").touch()
    (tmp_path / "dataset.json").write_text(other)
    assert find_case(tmp_path / "mine" / "scan.nii.gz").case_id == "scan"
    with pytest.raises(UserError, match=r"dataset.json: lists the channels CT"):
        find_case(tmp_path / "imagesTs" / "scan.nii.gz")


def test_a_table_of_grades_that_is_no_table_is_named(tmp_path):
    make(tmp_path / "x1", "x1")
    (tmp_path / "name_mapping.csv").write_text("Grade\n" + "x" * 200_000)
    with pytest.raises(UserError, match=r"name_mapping.csv: cannot be read \(field larger"):
        find_cases(tmp_path)


def test_linked_folders_are_followed_and_bad_names_are_one_line(tmp_path):
    make(tmp_path / "elsewhere" / "a", "a")
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "site").symlink_to(tmp_path / "elsewhere")
    assert only(tmp_path / "cases").case_id == "a"
    (tmp_path / "elsewhere" / "a" / "circle").symlink_to(tmp_path / "elsewhere")
    assert len(source_files(tmp_path / "cases")) == 5
    broken = tmp_path / "cases" / "b_t1.nii.gz"
    broken.symlink_to("nowhere.nii.gz")
    with pytest.raises(UserError, match=r"b_t1.nii.gz: is a link to nowhere.nii.gz, which"):
        find_cases(tmp_path / "cases")
    broken.unlink()
    for name in (b"\xe9_t1.nii.gz", b"line\nbreak.nii.gz"):
        path = tmp_path / "cases" / os.fsdecode(name)
        path.touch()
        with pytest.raises(UserError, match=r"\\x(e9|0a).*: a name that is not UTF-8") as refusal:
            find_cases(tmp_path / "cases")
        assert "\n" not in str(refusal.value)
        path.unlink()


def test_what_predict_wrote_is_no_case(tmp_path):
    make(tmp_path / "p1", "p1")
    out = tmp_path / "p1" / "out"
    out.mkdir()
    of_one = ("seg", "probability", "residual_t1", "residual_flair", "translation_t1c")
    of_several = ("seg_t1", "probability_my_flair", "residual_tumour_t1", "without_tumour_t2")
    for name in (*of_one, *of_several):
        (out / f"p1_{name}.nii.gz").touch()
    (out / "p1_overview.png").touch()
    assert only(tmp_path).case_id == "p1"
    assert find_case(tmp_path / "p1").case_id == "p1"
    (tmp_path / "p1" / "p1_overview.png").touch()
    with pytest.raises(UserError, match=r"p1 has no mask.*p1_seg.nii.gz beside it is an output"):
        find_cases(tmp_path)
    with pytest.raises(UserError, match=r"no case in it; .*there is p1_overview.png"):
        find_case(out)


def test_a_scan_named_like_a_prediction_of_one_pathology_is_read_without_its_picture(tmp_path):
    make(tmp_path / "p1_without_contrast", "p1_without_contrast")
    assert only(tmp_path).case_id == "p1_without_contrast"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("BraTS-GLI-00005-000", "BraTS-GLI-00005-101"),
        ("BraTS-MEN-RT-0001-1", "BraTS-MEN-RT-0001-2"),
        ("Brats17_TCIA_010_1", "Brats17_TCIA_010_2"),
        ("UPENN-GBM-00001_11", "UPENN-GBM-00001_21"),
        ("UCSF-PDGM-0181", "UCSF-PDGM-0181_FU001d"),
        ("TCGA-02-0006_1996.08.23", "TCGA-02-0006_1997.01.02"),
        ("sub-01_ses-1", "sub-01_ses-2"),
        ("W39_1998.09.19", "W39_1999.01.01"),
        ("p7_2019-03-04", "p7_20200105"),
        ("Brats18_CBICA_AAB_1", "Brats18_CBICA_AAB_2"),
        ("BraTS19_2013_0_1", "BraTS19_2013_0_2"),
        ("brats_tcia_pat117_0001", "brats_tcia_pat117_0009"),
        ("BraTSReg_001_00_0000", "BraTSReg_001_01_0106"),
        ("100101A", "100101B"),
        ("OAS1_0061_MR1", "OAS1_0061_MR2"),
        ("OAS30001_MR_d0129", "OAS30001_MR_d0757"),
        ("RHUH-0001_0", "RHUH-0001_2"),
        ("Patient-001_week-056", "Patient-001_week-000-1"),
        ("100002_time1", "100002_time2"),
        ("clinic-004_visit1", "clinic-004_visit-2"),
    ],
)
def test_scans_of_one_patient_are_known_by_their_names(first, second):
    assert patient_of(first) == patient_of(second)
    for other in ("BraTS20_Training_001", "BraTS2021_00000", "phantom_0001", "BRATS_001", "clinic"):
        assert patient_of(other) == other.casefold() != patient_of(first)
        assert patient_of(first.upper()) == patient_of(second.lower())


@pytest.mark.parametrize(
    "ids",
    [
        ("BraTS2021_00001", "BraTS2021_00002", "BraTS-GoAT-00001", "BraTS-GoAT-00002"),
        ("Brats17_TCIA_101_1", "Brats17_TCIA_105_1", "Brats17_CBICA_AAB_1", "Brats17_2013_0_1"),
        ("BraTS-GLI-00005-000", "BraTS-MET-00005-000", "BraTS-MEN-RT-0005-1"),
        ("UCSF-PDGM-0431_FU001d", "UCSF-PDGM-0432", "UPENN-GBM-00001_11", "UPENN-GBM-00002_11"),
        (
            "100101A",
            "100102A",
            "OAS1_0001_MR1",
            "OAS1_0002_MR1",
            "OAS30001_MR_d1",
            "OAS30002_MR_d1",
        ),
        ("clinic_1", "clinic_2", "clinic_123456", "clinic_scan1", "clinic_scan2", "case-time"),
        ("phantom_0001", "phantom_0002", "BRATS_001", "BRATS_002", "20200101", "IXI002-Guys-0828"),
        (
            "ward_2019_01_12",
            "ward_2019_01_13",
            "hospital_01_flu1",
            "hospital_02_flu1",
            "clinic_tp1",
            "clinic_tp2",
            "a_20190101",
            "a_20190102",
            "LGG-104",
            "LGG-203",
            "12345678a",
            "12345678b",
        ),
    ],
)
def test_different_patients_stay_apart(ids):
    assert len({patient_of(case_id) for case_id in ids}) == len(ids)


@pytest.mark.parametrize(
    ("case_id", "suffixes"),
    [
        ("UPENN-GBM-00001_11", ("_T1", "_T2", "_T1GD", "_FLAIR", "_segm")),
        ("UCSF-PDGM-0004", ("_T1", "_T2", "_T1c", "_FLAIR", "_tumor_segmentation")),
        ("own", ("_T1", "_T2", "_T1CE", "_Flair", "_SEG")),
    ],
)
def test_other_names_and_capitals_are_read(tmp_path, case_id, suffixes):
    make(tmp_path, case_id, dict(zip(OF_2017, suffixes, strict=True)), ending=".NII.gz")
    case = only(tmp_path)
    assert (case.case_id, case.layout) == (case_id, BRATS_2017)
    assert case.mask is not None


def test_an_error_names_what_is_there(tmp_path):
    make(tmp_path / "a", "BraTS20_Training_355", without=("mask",))
    (tmp_path / "a" / "W39_1998.09.19_Segm.nii").touch()
    with pytest.raises(UserError, match=r"Segm.nii: .*rename it BraTS20_Training_355_seg.nii if"):
        find_cases(tmp_path / "a")
    assert find_case(tmp_path / "a").mask is None
    for i in range(4):
        for place in ("imagesTr", "flat"):
            (tmp_path / "n" / place).mkdir(parents=True, exist_ok=True)
            (tmp_path / "n" / place / f"x_000{i}.nii.gz").touch()
    for place in ("imagesTr", "flat"):
        with pytest.raises(UserError, match=r"x_0000.nii.gz: is one channel of a case"):
            find_cases(tmp_path / "n" / place)
    (tmp_path / "archive.zip").touch()
    with pytest.raises(UserError, match=r"archive.zip: is a file; unpack it"):
        find_cases(tmp_path / "archive.zip")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("case;patient\n", "has the columns case;patient; expected case_id and patient"),
        ("case_id,patient\na,\n", "row 2: case a has no patient"),
        ("case_id,patient\na,p\na,q\n", "row 3: case a is listed twice"),
        ("case_id,patient\nz,p\n", "row 2: there is no case z"),
        ("case_id,patient\n", "has no row for case a"),
        ("case_id,patient\na,p\0\n", r"cannot be read \(it holds NUL bytes\); expected a CSV"),
        ("case_id,patient\na\x1b[2J,p\n", r"there is no case 'a\\x1b\[2J' in"),
    ],
)
def test_a_table_of_patients_that_leaves_a_case_open_is_refused(tmp_path, text, words):
    make(tmp_path, "a")
    (tmp_path / "dataset.csv").write_text(text)
    with pytest.raises(UserError, match=words):
        find_cases(tmp_path)


def test_a_table_of_patients_below_the_source_is_not_passed_over(tmp_path):
    make(tmp_path / "cohort", "a")
    (tmp_path / "cohort" / "dataset.csv").write_text("case_id,patient\na,p\n")
    with pytest.raises(UserError, match=r"cohort/dataset\.csv: .*give its folder as the source"):
        find_cases(tmp_path)
    assert find_cases(tmp_path / "cohort")[0].patient == "p"


@pytest.mark.parametrize("find", [find_case, find_cases])
def test_dicom_is_called_dicom_with_a_way_to_convert_it(tmp_path, find):
    (tmp_path / "series").mkdir()
    (tmp_path / "a.txt").write_text("notes")
    for name in ("IM0001", "IM0002.dcm"):
        (tmp_path / "series" / name).write_bytes(bytes(128) + b"DICM" + bytes(64))
    with pytest.raises(UserError, match=r"series/IM0001 is DICOM; .* `dcm2niix -z y -o"):
        find(tmp_path)


def test_a_dicom_file_is_called_so(tmp_path):
    path = tmp_path / "IM0001.dcm"
    path.write_bytes(bytes(128) + b"DICM" + bytes(64))
    with pytest.raises(UserError, match=r"IM0001\.dcm: is DICOM"):
        find_case(path)
