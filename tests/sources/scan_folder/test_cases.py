"""Which files of a folder are which cases: layouts, tables, lists of slices, groups, folds."""

from pathlib import Path

import pytest

from segtrans.errors import UserError, UserErrors
from segtrans.sources.own_folder.kind import kind_of_folder
from segtrans.sources.scan_folder.definition import complete_definition
from segtrans.sources.scan_folder.item import Listed
from segtrans.sources.scan_folder.items import share_out, survey
from segtrans.sources.scan_folder.slices import parse_slices
from segtrans.sources.scan_folder.table import scans_by_table
from tests.sources.scan_folder.folders import task

DICOM = bytes(128) + b"DICM" + bytes(8)
ONE = ["present/a.nii.gz", "present/b.nii.gz", "absent/c.nii.gz", "masks/a.nii.gz"]


def fill(folder, *names, **texts):
    """Write files by their names alone: DICOM without ending or as .dcm, tables, empty scans."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        is_dicom = path.suffix in ("", ".dcm")
        path.write_bytes(DICOM if is_dicom else b"")
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def items_of(folder, **values):
    found = survey(folder, task(**values))
    assert found.faults == []
    return found.items


def found(folder, **values):
    """By place: files by channel below the folder, and the mask."""
    items = items_of(folder, **values)
    below = {
        item.place: {name: below_of(path, folder) for name, path in item.scan.channels.items()}
        for item in items
    }
    return below, {item.place: below_of(item.mask, folder) for item in items if item.mask}


def below_of(path, folder):
    return Path(path).relative_to(folder).as_posix()


def faults(folder, **values):
    return survey(folder, task(**values)).faults


def test_a_file_is_a_case(tmp_path):
    scans, masks = found(fill(tmp_path, *ONE))
    assert scans == {
        "absent/c": {"scan": "absent/c.nii.gz"},
        "present/a": {"scan": "present/a.nii.gz"},
        "present/b": {"scan": "present/b.nii.gz"},
    }
    assert masks == {"present/a": "masks/a.nii.gz"}


NUMBERED = [f"present/p{n}_000{k}.nii.gz" for n in range(3) for k in range(2)]
NUMBERED += [f"absent/a{n}_000{k}.nii.gz" for n in range(3) for k in range(2)]


def test_numbered_files_are_channels_in_turn(tmp_path):
    folder = fill(tmp_path, *NUMBERED, "masks/p0.nii.gz")
    scans, masks = found(folder, channels=("t1", "flair"))
    assert scans["present/p1"] == {
        "t1": "present/p1_0000.nii.gz", "flair": "present/p1_0001.nii.gz"
    }  # fmt: skip
    assert len(scans) == 6
    assert masks == {"present/p0": "masks/p0.nii.gz"}
    assert complete_definition(folder, {}).channels == ("channel_0", "channel_1")
    (folder / "present/p2_0001.nii.gz").unlink()
    assert any(
        "present/p2: has no file _0001" in line for line in faults(folder, channels=("a", "b"))
    )


def test_numbers_with_a_mask_each_are_cases(tmp_path):
    folder = fill(tmp_path, *NUMBERED, "masks/p0_0001.nii.gz")
    scans, masks = found(folder)
    assert len(scans) == 12
    assert masks == {"present/p0_0001": "masks/p0_0001.nii.gz"}


FOLDERS = [
    *("present/P1/P1_t1.nii.gz", "present/P1/P1_t1c.nii.gz", "present/P1/P1_seg.nii.gz"),
    *("present/P2/t1.nii", "present/P2/t1c.nii", "present/P2/more.nii.gz"),
    *("absent/A1/A1-T1.nii.gz", "absent/A1/A1-T1c.nii.gz", "absent/A1/notes.txt"),
]


def test_a_folder_is_a_case_with_a_file_for_each_channel(tmp_path):
    folder = fill(tmp_path, *FOLDERS)
    scans, masks = found(folder, channels=("t1c", "t1"))
    assert scans["present/P1"] == {
        "t1c": "present/P1/P1_t1c.nii.gz", "t1": "present/P1/P1_t1.nii.gz"
    }  # fmt: skip
    assert scans["present/P2"] == {"t1c": "present/P2/t1c.nii", "t1": "present/P2/t1.nii"}
    assert scans["absent/A1"]["t1"] == "absent/A1/A1-T1.nii.gz"
    assert masks == {"present/P1": "present/P1/P1_seg.nii.gz"}
    # The first case of all says what channels there are, where nobody does.
    assert complete_definition(folder, {}).channels == ("t1", "t1c")
    wrong = faults(folder, channels=("t1", "flair"))
    assert [line.split(" beside")[0] for line in wrong if "flair" in line] == [
        f"{place}: has no scan for channel flair"
        for place in ("present/P1", "present/P2", "absent/A1")
    ]


def test_series_of_dicom_are_channels(tmp_path):
    folder = fill(
        tmp_path,
        *("present/P1/IM0001", "present/P1/IM0002", "present/P1/DICOMDIR"),
        *("present/P2/1.dcm", "absent/A1/1.dcm", "masks/P1.nii.gz"),
    )
    scans, masks = found(folder)
    assert scans == {
        "absent/A1": {"scan": "absent/A1"},
        "present/P1": {"scan": "present/P1"},
        "present/P2": {"scan": "present/P2"},
    }
    assert masks == {"present/P1": "masks/P1.nii.gz"}
    folder = fill(
        tmp_path / "two",
        *("present/P1/T1/IM1", "present/P1/flair/IM1", "present/P1/T1/IM2"),
        *("absent/A1/T1/1.dcm", "absent/A1/flair/1.dcm", "masks/P1.nii.gz"),
    )
    scans, _ = found(folder, channels=("flair", "t1"))
    assert scans["present/P1"] == {"flair": "present/P1/flair", "t1": "present/P1/T1"}
    assert complete_definition(folder, {}).channels == ("flair", "t1")


TABLE = """\
case,domain,t1,flair,mask,group,fold,slices
p,present,x/p1.nii.gz,x/p2.nii.gz,x/pm.nii.gz,ann,,
q,defect,x/q1.nii.gz,x/q2.nii.gz,,ann,,3-5 9
a,healthy,series/a1,x/a2.nii.gz,,,test,
b,absent,x/b1.nii.gz,x/b2.nii.gz,,,,
"""
IN_TABLE = [f"x/{case}{k}.nii.gz" for case in "pqb" for k in "12"]
IN_TABLE += ["x/a2.nii.gz", "x/pm.nii.gz", "series/a1/IM1"]


def test_a_table_says_all_of_it(tmp_path):
    folder = fill(tmp_path, *IN_TABLE, dataset=TABLE)
    found = survey(folder, task(channels=("flair", "t1")))
    assert (found.faults, found.skipped.others) == ([], ())
    by_name = {item.place: item for item in found.items}
    assert by_name["q"].slices == (Listed(3, 5), Listed(9, 9))
    assert [(name, item.domain, item.group, item.fold) for name, item in by_name.items()] == [
        ("a", "absent", "a", "test"),
        ("b", "absent", "b", None),
        ("p", "present", "ann", None),
        ("q", "present", "ann", None),
    ]
    assert list(by_name["a"].scan.channels) == ["flair", "t1"]
    assert below_of(by_name["a"].scan.channels["t1"], folder) == "series/a1"
    assert complete_definition(folder, {}).channels == ("t1", "flair")


def test_to_predict_scans_a_table_need_say_no_more_than_where_they_are(tmp_path):
    rows = "case,t1,centre\np,x/p1.nii.gz,3\na,series/a1,\nq,/x/q1.nii.gz,\n"
    folder = fill(tmp_path, *IN_TABLE, dataset=rows)
    files = [path for path in folder.rglob("*") if path.is_file()]
    scans, faults = scans_by_table(folder, files, ["t1"])
    places = {scan.case_id: below_of(scan.channels["t1"], folder) for scan in scans}
    assert places == {"p": "x/p1.nii.gz", "a": "series/a1"}
    (fault,) = faults
    assert fault.startswith("dataset.csv: row 4: t1 = /x/q1.nii.gz: an absolute path; expected a")


WRONG_ROWS = {
    "p,present,x/none.nii.gz,x/p2.nii.gz,,,,": "row 2: t1 = x/none.nii.gz: no such file in",
    "p,maybe,x/p1.nii.gz,x/p2.nii.gz,,,,": "row 2: domain = maybe: expected present or absent",
    "p,present,x/p1.nii.gz,x/p2.nii.gz,x/m.png,,,": "row 2: mask = x/m.png: no such file in the",
    "p,present,x/p1.nii.gz,x/p2.nii.gz,,,now,": "row 2: fold = now: expected train, valid, test",
    "p,present,x/p1.nii.gz,x/p2.nii.gz,,,,5-3": "row 2: 5-3: expected numbers from 1",
    "p,present,x/p1.nii.gz,,,,,": "row 2: flair = (empty): expected a path",
    "p,present,../p1.nii.gz,x/p2.nii.gz,,,,": "row 2: t1 = ../p1.nii.gz: leads out of the folder",
    "p,present,/p1.nii.gz,x/p2.nii.gz,,,,": "row 2: t1 = /p1.nii.gz: an absolute path; expected",
    "p,present,x/p1.nii.gz,x/p2.nii.gz,/m.nii,,,": "row 2: mask = /m.nii: an absolute path; exp",
    "b,present,x/p1.nii.gz,x/p2.nii.gz,,,,": "row 5: case b is in row 2 too",
    "p,present,x/p1.nii.gz,x,,,,": "row 2: flair = x: expected a NIfTI file, or a folder with",
}  # fmt: skip


@pytest.mark.parametrize("row", WRONG_ROWS)
def test_a_row_that_says_nothing_is_named(tmp_path, row):
    lines = TABLE.splitlines()
    folder = fill(tmp_path, *IN_TABLE, dataset="\n".join([lines[0], row, *lines[2:]]))
    wrong = faults(folder, channels=("t1", "flair"))
    assert any(WRONG_ROWS[row] in line for line in wrong), wrong


def test_columns_are_channels(tmp_path):
    folder = fill(tmp_path, *IN_TABLE, dataset=TABLE)
    (line,) = faults(folder, channels=("t1", "t2"))
    assert line.startswith("dataset.csv: has the columns t1, flair; expected those of the channels")


def test_lists_of_slices(tmp_path):
    listed = "case,slices\nb,12-30 41\n"
    items = items_of(fill(tmp_path, *ONE, slices=listed))
    assert [item.slices for item in items] == [None, None, (Listed(12, 30), Listed(41, 41))]
    for text, words in {
        "a,1": "present/a: has a list of slices and a mask, which says it",
        "absent/c,1": "absent/c: has a list of slices and is absent",
        "c,1": "slices.csv: row 2: case c: no such case",
        "b,0-3": "slices.csv: row 2: 0-3: expected numbers from 1",
        "b,R1": "slices.csv: row 2: R1: R names a side, and images are whole slices",
        "b,1\nb,2": "slices.csv: row 3: case b: twice",
    }.items():
        wrong = faults(fill(tmp_path, slices=f"case,slices\n{text}\n"))
        assert any(words in line for line in wrong), (text, wrong)


def test_slices_are_of_sides_where_images_are_halves():
    assert parse_slices("R12-30, l4;7", halves=True) == (
        Listed(12, 30, "right"), Listed(4, 4, "left"), Listed(7, 7)
    )  # fmt: skip


WRONG_FILES = {
    "masks/z.nii.gz": "masks/z.nii.gz: a mask without a scan; expected present/z.nii.gz",
    "masks/a_seg.nii": "masks/a_seg.nii: a second mask beside masks/a.nii.gz",
    "present/a.nii": "present/a.nii and present/a.nii.gz: one name twice",
    "present/B.nii.gz": "present/B and present/b: names that differ in the case of letters",
    "present/a/t1.nii.gz": "present/a: a folder and a file of one name",
    "present/x/y.txt": "present/x: holds y.txt; expected a NIfTI file for each channel",
    "present/IM1": "present/IM1: DICOM; give each series a folder",
    "absent/x.nrrd": "absent/x.nrrd: a kind of file that is not read; save it as .nii.gz",
    "healthy/x.nii.gz": "healthy/x.nii.gz: both absent/ and healthy/ are for absent scans",
    "test/present/t.nii.gz": "test/present/t: in fold test without a mask, which scores need",
}


@pytest.mark.parametrize("name", WRONG_FILES)
def test_a_file_that_says_nothing_is_named(tmp_path, name):
    wrong = faults(fill(tmp_path, *ONE, name))
    assert any(WRONG_FILES[name] in line for line in wrong), wrong


def test_a_folder_of_something_else_is_named(tmp_path):
    (line,) = faults(fill(tmp_path, "imagesTr/a.nii.gz"))
    assert "holds imagesTr; expected present/, absent/ and masks/" in line
    (line,) = faults(fill(tmp_path / "b", *ONE[:3]))
    assert "has no mask to train on" in line


def test_time_points_of_a_patient_are_a_group(tmp_path):
    names = ["present/BraTS-GLI-00007-000.nii.gz", "absent/BraTS-GLI-00007-001.nii.gz"]
    items = items_of(fill(tmp_path, *ONE, *names))
    assert len({item.group for item in items}) == 4
    items = items_of(tmp_path, group=r"^(.)")
    assert {item.group for item in items} == {"a", "b", "c", "B"}


def test_one_name_in_both_domains_is_two_cases(tmp_path):
    folder = fill(tmp_path, "present/1.nii.gz", "absent/1.nii.gz", "masks/1.nii.gz")
    items = items_of(folder)
    assert {item.scan.case_id for item in items} == {"present/1", "absent/1"}
    assert {item.group for item in items} == {"1"}


def test_masks_alone_may_give_both_domains(tmp_path):
    folder = fill(tmp_path, *(f"{of}/{n}.nii.gz" for of in ("present", "masks") for n in "abcdef"))
    _, folds = share_out(folder, task(), data_seed=0)
    assert sorted(folds.values()) == ["test", "train", "train", "train", "train", "valid"]
    with pytest.raises(UserErrors) as caught:
        share_out(folder, task(absent_from_present="never"), data_seed=0)
    (line,) = caught.value.lines
    assert "has no absent scans to train on" in line


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["present/a.nii.gz", "notes.png"], "image_folder"),
        (["present/a.nii.gz", "absent/b.nii", "notes.png"], "scan_folder"),
        (["present/a/IM1", "present/a/IM2"], "scan_folder"),
        (["present/a.png", "absent/b.png"], "image_folder"),
    ],
)
def test_files_say_whether_a_folder_has_scans(tmp_path, names, kind):
    folder = fill(tmp_path, *names)
    assert kind_of_folder(folder) == kind
    (folder / "dataset.yaml").write_text("kind: scan_folder\n")
    assert kind_of_folder(folder) == "scan_folder"
    (folder / "dataset.yaml").write_text("kind: films\n")
    with pytest.raises(UserError, match="kind = films: expected image_folder or scan_folder"):
        kind_of_folder(folder)
