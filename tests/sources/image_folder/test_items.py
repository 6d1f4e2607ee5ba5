"""Names of folders and files, and the table: which file is which image."""

import unicodedata

import pytest

from segtrans.sources.image_folder.items import survey_of
from segtrans.sources.own_folder.names import unmasked
from tests.sources.image_folder.pictures import fill, save, task

NO_SUCH = "no such file in the folder; expected a path below the folder"
LEAST = ("present/p.png", "absent/a.png", "masks/p.png")


def found(folder, **values):
    survey = survey_of(folder, task(**values))
    assert survey.faults == []
    return {item.place: item for item in survey.items}, survey.skipped


def faults_of(folder, **values):
    faults = survey_of(folder, task(**values)).faults
    assert faults
    return faults


def test_folders_say_domain_mask_and_fold(tmp_path):
    fill(
        tmp_path,
        *("present/a/x.png", "present/y.jpg", "present/a/z.PNG", "absent/x.bmp", "absent/n.png"),
        *("masks/a/x.png", "masks/a/z.bmp", "test/present/t.tif", "test/masks/t.png"),
        *("test/absent/x.png", "present/._y.jpg", ".cache/y.png", "present/Thumbs.db", "LICENSE"),
    )
    items, skipped = found(tmp_path)
    assert list(items) == [
        *("absent/n", "absent/x", "present/a/x", "present/a/z", "present/y"),
        *("test/absent/x", "test/present/t"),
    ]
    x = items["present/a/x"]
    assert (x.name, x.domain, x.group, x.fold) == ("a/x", "present", "present/a/x", None)
    assert (x.files, x.mask) == ((tmp_path / "present/a/x.png",), tmp_path / "masks/a/x.png")
    assert items["present/a/z"].mask == tmp_path / "masks/a/z.bmp"
    assert items["present/y"].mask is items["absent/x"].mask is None
    assert items["test/present/t"].fold == items["test/absent/x"].fold == "test"
    assert items["test/present/t"].mask == tmp_path / "test/masks/t.png"
    assert {path.name for path in skipped.hidden} == {"._y.jpg", ".cache"}
    assert {path.name for path in skipped.others} == {"Thumbs.db", "LICENSE"}


@pytest.mark.parametrize(
    ("names", "mask_of"),
    [
        (("Defect/x.png", "Good/x.png", "ground_truth/x_mask.png"), "Defect/x"),
        (("pos/x.png", "neg/y.png", "labels/x_label.png"), "pos/x"),
        (("abnormal/k/x.png", "normal/y.png", "mask/k/x-SEG.png"), "abnormal/k/x"),
        (("sick/x.png", "healthy/y.png", "sick/x_mask.png"), "sick/x"),  # beside its image
        (("pos/x_0000.png", "neg/y_0000.png", "pos/x_seg.png"), "pos/x"),
        (("present/x.png", "absent/x.png", "masks/present/x.png"), "present/x"),
        (("present/w_mask.png", "absent/x.png", "masks/w_mask.png"), "present/w_mask"),
    ],
)
def test_common_names_are_understood(tmp_path, names, mask_of):
    items, _ = found(fill(tmp_path, *names))
    assert [place for place, item in items.items() if item.mask] == [mask_of]
    assert {item.domain for item in items.values()} == {"present", "absent"}
    assert len(items) == 2


def test_several_files_are_the_channels_of_an_image(tmp_path):
    names = [f"{of}_000{k}.png" for of in ("present/x", "present/u", "absent/x") for k in (0, 1)]
    items, _ = found(fill(tmp_path, *names, "masks/x.png"), channels=("t1", "flair"))
    assert set(items) == {"present/x", "present/u", "absent/x"}
    assert [path.name for path in items["present/x"].files] == ["x_0000.png", "x_0001.png"]
    assert items["present/x"].mask.name == "x.png"
    (tmp_path / "absent/x_0001.png").rename(tmp_path / "absent/x_0002.png")
    assert faults_of(tmp_path, channels=("t1", "flair")) == [
        "absent/x: has no file _0001; expected one for each channel",
    ]


def test_a_folder_that_lies_elsewhere_is_named_once(tmp_path):
    elsewhere = fill(tmp_path / "elsewhere", "x.png", "y.png")
    folder = fill(tmp_path / "photos", *LEAST)
    (folder / "absent/more").symlink_to(elsewhere)
    (line,) = faults_of(folder)
    assert line.startswith("absent/more: a link out of the folder, to ")
    (folder / "absent/more").unlink()
    (folder / "absent/more").symlink_to("../present/more")
    fill(folder, "present/more/q.png")
    assert "absent/more: a link to another folder of the data set; remove it" in faults_of(folder)
    (folder / "absent/more").unlink()
    (folder / "absent/b.png").symlink_to("a.png")  # what it holds is compared when it is read
    assert len(found(folder)[0]) == 4


def test_frames_of_a_video_are_no_channels(tmp_path):
    names = [f"{of}_000{k}.png" for of in ("present/v", "absent/w") for k in range(3)]
    fill(tmp_path, *names, "masks/v_0001.png")
    colours = ("red", "green", "blue")
    items, _ = found(tmp_path, channels=colours)
    assert len(items) == 6
    assert items["present/v_0001"].mask is not None


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (("present/p.jpg",), "present/p.jpg and present/p.png: one name twice"),
        (("present/P.png",), "names that differ in the case of letters alone"),
        (("masks/q.png",), "masks/q.png: a mask without an image; expected present/q"),
        (("masks/p_seg.png",), "masks/p_seg.png: a second mask beside masks/p.png"),
        (("present/q.png", "masks/q.jpg"), "masks/q.jpg: .jpg changes the values of a mask"),
        (("present/q.dcm",), "present/q.dcm: a kind of file that is not read"),
        (("good/b.png",), "good/b.png: both absent/ and good/ are for absent images"),
        (("test/present/t.png",), "test/present/t: in fold test without a mask"),
    ],
)
def test_a_fault_of_names_is_named(tmp_path, names, fault):
    (line,) = faults_of(fill(tmp_path, *LEAST, *names))
    assert fault in line


def test_all_faults_are_named_at_once(tmp_path):
    fill(tmp_path, "present/p.png", "present/p.bmp", "masks/q.png", "masks/r.png")
    (tmp_path / "present/gone.png").symlink_to("nowhere.png")
    outside = save(tmp_path.parent / f"{tmp_path.name}_out.png", "text")
    (tmp_path / "present/out.png").symlink_to(outside)
    lines = faults_of(tmp_path)
    for words in (
        *("gone.png: is a link to nowhere.png", "present/out.png: a link out of the folder"),
        *("present/p.bmp and present/p.png: one", "masks/q.png: a mask w", "masks/r.png: a mask w"),
        *("has no absent images", "has no mask to train on"),
    ):
        assert sum(words in line for line in lines) == 1, (words, lines)
    assert len(lines) == 7


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("train/good/x.png", "test/crack/y.png", "ground_truth/z.png"), "segtrans import mvtec"),
        (("imagesTr/x_0000.png", "labelsTr/x.png"), "segtrans import nnunet"),
        (("x.png",), "holds x.png; expected present/, absent/ and masks/"),
    ],
)
def test_a_folder_of_another_kind_is_told(tmp_path, names, words):
    (line,) = faults_of(fill(tmp_path, *names))
    assert words in line


def test_groups_are_read_from_names_and_stay_in_one_fold(tmp_path):
    fill(tmp_path, "present/s1__1.png", "absent/s1__2.png", "absent/s2__1.png", "masks/s1__1.png")
    pattern = r"^(.+?)__\d+$"
    items, _ = found(tmp_path, group=pattern)
    assert [item.group for item in items.values()] == ["s1", "s2", "s1"]
    fill(tmp_path, "test/absent/s2__9.png", "absent/other.png")
    lines = faults_of(tmp_path, group=pattern)
    assert "absent/other: group = ^(.+?)__\\d+$ finds none in other" in lines
    assert sum("group s2: absent/s2__1 has no fold yet, test/absent/s2__9 has fold" in line
               for line in lines) == 1  # fmt: skip
    assert len(lines) == 2


def test_one_letter_has_one_name(tmp_path):
    fill(
        tmp_path, f"present/{unicodedata.normalize('NFD', 'é')}.png", "absent/a.png", "masks/é.png"
    )
    items, _ = found(tmp_path)
    assert items["present/é"].mask is not None


HEAD = "image,domain,mask,group,fold\n"


def table(folder, text):
    fill(folder, *(f"img/{name}.png" for name in "abcdef"), "seg/a_seg.png", "img/g_0000.png")
    return save(folder / "dataset.csv", text).parent


def test_a_table_wins_over_folders(tmp_path):
    fill(tmp_path, *LEAST)
    rows = (
        "img/a.png,present,seg/a_seg.png,s1,\nimg/b.png,absent,,,train\nimg/c.png,good,,s2,val\n"
        "img/d.png,Defect,,,\n"
    )
    items, skipped = found(table(tmp_path, HEAD + rows))
    assert {place: (item.domain, item.group, item.fold) for place, item in items.items()} == {
        "img/a": ("present", "s1", None),
        "img/b": ("absent", "img/b", "train"),
        "img/c": ("absent", "s2", "valid"),
        "img/d": ("present", "img/d", None),
    }
    assert items["img/a"].mask == tmp_path / "seg/a_seg.png"
    assert tmp_path / "present/p.png" in skipped.others


def test_a_table_names_the_first_channel_alone(tmp_path):
    fill(tmp_path, "img/g_0001.png")
    rows = "img/a.png,present,seg/a_seg.png\nimg/g_0000.png,absent,\n"
    folder = table(tmp_path, "image,domain,mask\n" + rows)
    items, _ = found(folder, channels=("t1", "t2"))
    assert [path.name for path in items["img/g"].files] == ["g_0000.png", "g_0001.png"]


def test_all_faults_of_a_table_are_named_at_once(tmp_path):
    rows = (
        "img/a.png,present,seg/a_seg.png,s1,train\nimg/a.png,absent,,,\nimg/b.png,maybe,,,\n"
        "img/c.png,absent,,s1,test\nimg/z.png,absent,,,\n../x.png,absent,,,\n"
        "img/d.png,absent,,,later\nimg/e.png,present,seg/none.png,,\n"
    )
    assert faults_of(table(tmp_path, HEAD + rows)) == [
        "dataset.csv: row 3: image img/a.png is in row 2 too; one row an image, and names differ "
        "in more than ending and case",
        "dataset.csv: row 4: domain = maybe: expected present or absent",
        f"dataset.csv: row 6: image = img/z.png: {NO_SUCH}",
        "dataset.csv: row 7: image = ../x.png: leads out of the folder; expected a path below the "
        "folder: put a copy of the file there",
        "dataset.csv: row 8: fold = later: expected train, valid, test, or nothing",
        f"dataset.csv: row 9: mask = seg/none.png: {NO_SUCH}",
        "group s1: img/a has fold train, img/c has fold test; keep a group in one fold",
        f"{tmp_path}: has no absent images to train on, known not to show the target; put some in "
        "absent/",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has the columns of no name; expected a CSV file"),
        ("image;domain\na;b\n", "has the columns image;domain; expected"),
        (HEAD, "has no row"),
        (HEAD + "\nimg/a, b.png,absent,,,,\n", "row 3: has more values than columns"),
        ("image,domain,patient\n", "unknown column patient; allowed: image, domain, mask"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, words):
    (line,) = faults_of(table(tmp_path, text))
    assert line.startswith("dataset.csv: ")
    assert words in line


@pytest.mark.parametrize("ending", ["_mask", "-SEG", "_Label", "_segmentation", "_gt"])
def test_endings_of_masks_are_taken_off(ending):
    assert unmasked(f"a/scan_7{ending}") == "a/scan_7"
    assert unmasked(f"a/scan{ending[1:]}") is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (
            "/elsewhere/a.png",
            "/elsewhere/a.png: an absolute path; expected a path below the",
        ),
        (
            "{folder}/img/a.png",
            "; expected a path below the folder, here img/a.png",
        ),
        ("C:\\photos\\a.png", "an absolute path; expected a path below the folder"),
        ("img/../../x/a.png", "leads out of the folder; expected a path below the folder: put a c"),
        ("img\\a.png", f"{NO_SUCH}, with / between names"),
        ("", "(empty): expected a path below the folder"),
    ],
)
def test_a_path_of_a_table_that_is_none_below_its_folder_says_what_was_expected(
    tmp_path, path, words
):
    fill(tmp_path, "img/a.png")
    named = path.format(folder=tmp_path)
    (tmp_path / "dataset.csv").write_text(f"image,domain\n{named},present\n")
    (fault,) = survey_of(tmp_path, task()).faults
    assert fault.startswith("dataset.csv: row 2: image = ")
    assert words in fault
