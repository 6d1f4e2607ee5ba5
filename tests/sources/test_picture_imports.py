"""Data sets in the layouts of others: small real ones, masks against matplotlib's and Pillow's."""

import base64
import csv
import io
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import yaml
from matplotlib.path import Path as Outline
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation
from skimage.io import imread, imsave
from typer.testing import CliRunner

from segtrans.cli import app
from segtrans.cli.imports import Layout as NamesOfLayouts
from segtrans.errors import UserError, UserErrors
from segtrans.sources.image_folder.imports.outlines import fill_polygon, fill_runs, unpack_runs
from segtrans.sources.image_folder.imports.write import FORMATS, import_folder
from segtrans.sources.image_folder.items import survey_of
from segtrans.sources.image_folder.reading import read_image, read_mask
from segtrans.tasks.base import VOID
from segtrans.tasks.image_folder import ImageFolder

STAR = [
    (20.2, 3.1),
    (25.7, 15.4),
    (37.3, 16.9),
    (27.9, 22.0),
    (31.0, 33.6),
    (20.1, 26.4),
    (4.5, 34.8),
]
HEIGHT, WIDTH = 36, 40


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    imsave(path, pixels, check_contrast=False)
    return path


def picture(seed=0, shape=(HEIGHT, WIDTH)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def block(value=1, dtype=np.uint8):
    mask = np.zeros((HEIGHT, WIDTH), dtype)
    mask[5:12, 8:20] = value
    return mask


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_table(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("image", "domain"), *rows])
    return path


def read_back(folder):
    """The task as dataset.yaml has it, and the items by their places."""
    settings = yaml.safe_load((folder / "dataset.yaml").read_text())
    own = {"kind": "image_folder", "directory": str(folder), "title": "T"}
    task = ImageFolder.model_validate(settings | own, strict=False)
    found = survey_of(folder, task)
    assert str(found.skipped) == "none"
    assert found.faults == []
    return task, {item.place: item for item in found.items}


def refused(layout, source, folder, **options):
    with pytest.raises(UserError) as found:
        import_folder(layout, source, folder, **options)
    assert not folder.exists()
    assert not list(folder.parent.glob(".*.partial.*"))
    error = found.value
    return list(error.lines) if isinstance(error, UserErrors) else [str(error)]


def by_matplotlib(points, shape):
    rows, columns = np.indices(shape)
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], 1)
    return Outline(points).contains_points(centres).reshape(shape)


def differ_by_a_pixel_at_most(first, second):
    around = np.ones((3, 3))
    return (
        not (first & ~binary_dilation(second, around)).any()
        and not (second & ~binary_dilation(first, around)).any()
    )


def test_the_command_knows_every_layout():
    assert [layout.value for layout in NamesOfLayouts] == [*FORMATS, "brats"]  # of scans


def test_the_command_writes_the_folder_and_says_what_is_in_it(mvtec, tmp_path):
    answer = CliRunner().invoke(app, ["import", "mvtec", str(mvtec), str(tmp_path / "mine")])
    assert answer.exit_code == 0, answer.output
    assert "3 present pictures, 2 of them with a mask" in answer.output
    assert (tmp_path / "mine/masks/test/broken_large/000.png").is_file()


def test_outlines_are_filled_as_matplotlib_and_pillow_do():
    drawn = fill_polygon((HEIGHT, WIDTH), STAR)
    assert (drawn ^ by_matplotlib(STAR, drawn.shape)).sum() <= 2  # centres on the outline
    pillow = Image.new("L", (16 * WIDTH, 16 * HEIGHT))
    ImageDraw.Draw(pillow).polygon([(16 * x, 16 * y) for x, y in STAR], fill=1)
    share = np.asarray(pillow).reshape(HEIGHT, 16, WIDTH, 16).mean((1, 3))
    assert drawn[share > 0.9].all()
    assert not drawn[share < 0.1].any()
    assert differ_by_a_pixel_at_most(drawn, share > 0.5)
    thin = fill_polygon((HEIGHT, WIDTH), [(3, 3.7), (30, 3.7), (30, 3.9), (3, 3.9)])
    assert 27 <= thin[3].sum() == thin.sum() <= 29
    with pytest.raises(ValueError, match="outside"):
        fill_polygon((HEIGHT, WIDTH), [(50, 50), (60, 50), (60, 60)])


def test_run_lengths_are_those_of_pycocotools():
    # By pycocotools 2.0.11, `mask.encode` of a ring.
    text = "a55b02N2N2O0O2O000O2O0000FL040L040L040L040L04:00001N10001N101N2N2NX4"
    row, column = np.indices((24, 40))
    row, column = (row - 11) ** 2, (column - 20) ** 2
    ring = (row / 60 + column / 190 <= 1) & (row + column >= 9)
    np.testing.assert_array_equal(fill_runs(ring.shape, unpack_runs(text)), ring)
    for broken in (text[:-1] + "o", text + "\x00"):
        with pytest.raises(ValueError, match="run lengths"):
            unpack_runs(broken)


@pytest.fixture
def mvtec(tmp_path):
    source = tmp_path / "bottle"
    for number in range(3):
        save(source / f"train/good/{number:03d}.png", picture(number))
    save(source / "test/good/000.png", picture(10))
    for number in range(3):
        save(source / f"test/broken_large/{number:03d}.png", picture(20 + number))
    save(source / "ground_truth/broken_large/000_mask.png", block(255))
    for part, value in ((0, 1), (1, 2)):  # as LOCO has it
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[10 * part : 10 * part + 4, :5] = value
        save(source / f"ground_truth/broken_large/001/{part:03d}.png", mask)
    return source


def test_mvtec(mvtec, tmp_path):
    lines = import_folder("mvtec", mvtec, tmp_path / "mine")
    assert lines == ["3 present pictures, 2 of them with a mask; 4 absent; 0 of these in test/"]
    task, items = read_back(tmp_path / "mine")
    assert task.classes == {"defect": 1}
    masked = items["present/test/broken_large/000"]
    np.testing.assert_array_equal(read_mask(masked.mask, task), block())
    together = read_mask(items["present/test/broken_large/001"].mask, task)
    assert together.sum() == 2 * 4 * 5
    assert items["present/test/broken_large/002"].mask is None
    copied = items["absent/train/good/001"].files[0]
    assert copied.read_bytes() == (mvtec / "train/good/001.png").read_bytes()


def test_faults_of_mvtec_are_named_all_at_once(mvtec, tmp_path):
    save(mvtec / "train/bad/000.png", picture())
    save(mvtec / "ground_truth/broken_large/009_mask.png", block())
    lines = refused("mvtec", mvtec, tmp_path / "mine")
    assert [line.partition(":")[0] for line in lines] == [
        "train/bad/000",
        "ground_truth/broken_large/009_mask.png",
    ]
    (line,) = refused("mvtec", mvtec.parent, tmp_path / "mine")
    assert "give one of its categories: bottle" in line
    shutil.rmtree(mvtec / "train/bad")
    (mvtec / "ground_truth/broken_large/009_mask.png").unlink()
    save(mvtec / "ground_truth/broken_large/000_mask.png", block()[:, :-1])
    save(mvtec / "ground_truth/broken_large/002_mask.png", 0 * block())
    wrong_size, empty = refused("mvtec", mvtec, tmp_path / "mine")
    assert "000_mask.png: a label of 36 x 39 for a picture of 36 x 40" in wrong_size
    assert "test/broken_large/002: an empty label" in empty


def test_what_is_there_is_never_written_over(mvtec, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        import_folder("mvtec", mvtec, folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    (tmp_path / "set.zip").write_bytes(b"PK")
    assert "unpack it" in refused("mvtec", tmp_path / "set.zip", tmp_path / "new")[0]


@pytest.fixture
def nnunet(tmp_path):
    source = tmp_path / "Dataset001_Road"
    labels = {"background": 0, "crack": 1, "rust": 2, "ignore": 3}
    write_json(
        source / "dataset.json",
        {"channel_names": {"0": "near", "1": "far"}, "labels": labels, "file_ending": ".png"},
    )
    for number, case in enumerate(("a", "b", "c", "d", "e")):
        part = "Ts" if case == "e" else "Tr"
        for channel in (0, 1):
            save(source / f"images{part}/{case}_{channel:04d}.png", picture(10 * number + channel))
    mask = block(1)
    mask[20:25, 2:9], mask[30:, 30:] = 2, 3
    save(source / "labelsTr/a.png", mask)
    save(source / "labelsTr/b.png", 0 * mask)
    save(source / "labelsTs/e.png", mask)
    return source


def test_nnunet(nnunet, tmp_path):
    folder = tmp_path / "mine"
    (line,) = refused("nnunet", nnunet, folder)
    assert "2 pictures have no label" in line
    assert "(imagesTr/c, imagesTr/d)" in line
    table = write_table(
        tmp_path / "presence.csv", [("c", "present"), ("imagesTr/d_0000.png", "absent")]
    )
    import_folder("nnunet", nnunet, folder, presence=table)
    task, items = read_back(folder)
    assert (task.channels, task.ignore) == (("near", "far"), VOID)
    assert task.classes == {"crack": 1, "rust": 2}
    places = {place: item.mask is not None for place, item in items.items()}
    assert places == {
        "present/imagesTr/a": True,
        "absent/imagesTr/b": False,
        "present/imagesTr/c": False,
        "absent/imagesTr/d": False,
        "test/present/imagesTs/e": True,
    }
    expected = imread(nnunet / "labelsTr/a.png")
    expected[expected == 3] = VOID
    np.testing.assert_array_equal(read_mask(items["present/imagesTr/a"].mask, task), expected)
    image = read_image(items["present/imagesTr/c"].files, task.channels)
    np.testing.assert_array_equal(image, np.stack([picture(20), picture(21)], 2))


def test_test_pictures_of_nnunet_without_a_label_are_left_out_and_counted(nnunet, tmp_path):
    for case in ("f", "g"):
        for channel in (0, 1):
            save(nnunet / f"imagesTs/{case}_{channel:04d}.png", picture(60 + channel))
    rows = [("c", "present"), ("d", "absent"), ("g", "absent")]
    table = write_table(tmp_path / "presence.csv", rows)
    folder = tmp_path / "mine"
    lines = import_folder("nnunet", nnunet, folder, presence=table)
    assert lines[1].startswith("1 of the test pictures left out: no label")
    assert not list(folder.rglob("f_*"))
    assert len(list((folder / "absent/imagesTs").glob("g_*"))) == 2


def test_a_table_that_contradicts_or_names_nothing_is_refused(nnunet, tmp_path):
    folder = tmp_path / "mine"
    rows = [("a", "absent"), ("c", "present"), ("d", "absent"), ("b", "present")]
    table = write_table(tmp_path / "presence.csv", rows)
    lines = refused("nnunet", nnunet, folder, presence=table)
    assert lines == [
        "imagesTr/a: the table says absent, but its label shows it",
        "imagesTr/b: the table says present, but its label is empty",
    ]
    write_table(table, [("z", "present"), ("c", "maybe"), ("d", "absent"), ("d", "present")])
    lines = refused("nnunet", nnunet, folder, presence=table)
    assert [line.partition("presence.csv: ")[2].split(":")[0] for line in lines] == [
        *("row 2", "row 3", "row 5")
    ]


def test_faults_of_nnunet_are_named_all_at_once(nnunet, tmp_path):
    save(nnunet / "imagesTr/f.png", picture())
    save(nnunet / "labelsTr/g.png", block())
    lines = refused("nnunet", nnunet, tmp_path / "mine")
    assert [line.split(":")[0] for line in lines] == ["imagesTr/f.png", "labelsTr/g.png"]
    (nnunet / "imagesTr/f.png").unlink()
    (nnunet / "labelsTr/g.png").unlink()
    save(nnunet / "labelsTr/a.png", block(7))
    table = write_table(tmp_path / "t.csv", [("c", "present"), ("d", "absent")])
    (line,) = refused("nnunet", nnunet, tmp_path / "mine", presence=table)
    assert "labelsTr/a.png: unknown label 7; expected 0, 1, 2, 3" in line
    (nnunet / "dataset.json").write_text("{}")
    assert "labels: missing" in refused("nnunet", nnunet, tmp_path / "mine")[0]


def write_volume(path, voxels, axes=(1, 1, 1)):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, np.diag([*axes, 1.0])), path)


@pytest.fixture
def decathlon(tmp_path):
    source = tmp_path / "Task99_Scan"
    rng = np.random.default_rng(0)
    for case, axes in (
        ("s1", (1, 1, 1)),
        ("s2", (-1, -1, 1)),
        ("s3", (1, 1, 1)),
        ("s4", (1, 1, 1)),
    ):
        voxels = rng.normal(100, 20, (14, 12, 5, 2)).astype(np.float32)
        voxels[:, :, 4] = 0
        write_volume(source / f"imagesTr/{case}.nii.gz", voxels, axes)
        label = np.zeros((14, 12, 5), np.uint8)
        label[2:5, 1:4, 1], label[9:11, 6:9, 2] = 2, 4
        if case in ("s1", "s2"):
            write_volume(source / f"labelsTr/{case}.nii.gz", label, axes)
    (source / "imagesTr/._s1.nii.gz").write_bytes(b"Mac")
    training = [
        {"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"}
        for case in ("s1", "s2")
    ]
    write_json(
        source / "dataset.json",
        {
            "labels": {"0": "background", "2": "oedema", "4": "core"},
            "modality": {"0": "FLAIR", "1": "T1w"},
            "training": training,
            "test": ["./imagesTr/s3.nii.gz", "./imagesTr/s4.nii.gz"],
        },
    )
    return source


def test_slices_of_the_decathlon(decathlon, tmp_path):
    folder = tmp_path / "mine"
    table = write_table(tmp_path / "t.csv", [("s3", "absent"), ("s4", "present")])
    lines = import_folder("msd", decathlon, folder, presence=table)
    assert "4 present pictures, 4 of them with a mask; 8 absent" in lines[0]
    assert lines[1].startswith("4 slices were left out")  # of s4: which of them show it?
    task, items = read_back(folder)
    assert task.classes == {"oedema": 1, "core": 2}
    assert items["present/s1__001"].group == items["absent/s1__003"].group == "s1"
    assert "absent/s1__004" not in items  # constant
    voxels = nib.load(decathlon / "imagesTr/s1.nii.gz").get_fdata()[:, :, 1]
    image = read_image(items["present/s1__001"].files, task.channels)
    # To the right is the patient's right, on top is the front.
    np.testing.assert_allclose(image, np.transpose(voxels, (1, 0, 2))[::-1])
    mask = read_mask(items["present/s1__001"].mask, task)
    assert (mask[12 - 4 : 12 - 1, 2:5] == 1).all()
    assert mask.sum() == 9
    turned = read_mask(items["present/s2__001"].mask, task)
    np.testing.assert_array_equal(turned, mask[::-1, ::-1])


def test_a_label_of_another_grid_and_a_list_that_lies_are_refused(decathlon, tmp_path):
    write_volume(decathlon / "labelsTr/s1.nii.gz", np.zeros((12, 14, 5), np.uint8))
    content = json.loads((decathlon / "dataset.json").read_text())
    content["training"][1]["label"] = "../outside.nii.gz"
    write_volume(tmp_path / "outside.nii.gz", np.zeros((14, 12, 5), np.uint8))
    write_json(decathlon / "dataset.json", content)
    grid, outside = refused("msd", decathlon, tmp_path / "mine")
    assert "s1.nii.gz: a label of 12 x 14 x 5 for a picture of 14 x 12 x 5" in grid
    assert "outside.nii.gz: no such file in" in outside


@pytest.fixture
def coco(tmp_path):
    source = tmp_path / "cracks"
    for number, name in enumerate(("a.png", "b.jpg", "more/c.png", "d.png", "more/e.png")):
        save(source / "images" / name, picture(number))
    size = {"height": HEIGHT, "width": WIDTH}
    images = [
        {"id": 1, "file_name": "a.png", **size},
        {"id": 2, "file_name": "b.jpg", **size},
        {"id": 3, "file_name": "C:\\photos\\c.png", **size},
        {"id": 4, "file_name": "images/d.png", **size},
    ]
    runs = np.diff([0, *np.flatnonzero(np.diff(block().T.ravel())) + 1, HEIGHT * WIDTH]).tolist()
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 7, "segmentation": [np.ravel(STAR).tolist()]},
        {"id": 2, "image_id": 2, "category_id": 3, "segmentation": {"counts": runs, "size": []}},
    ]
    categories = [{"id": 7, "name": "crack"}, {"id": 3, "name": "rust"}, {"id": 1, "name": "car"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_json(source / "annotations/instances.json", content)
    return source


def test_coco(coco, tmp_path):
    folder = tmp_path / "mine"
    (line,) = refused("coco", coco, folder)
    assert "1 pictures have no label" in line
    table = write_table(tmp_path / "t.csv", [("e.png", "present"), ("images/d", "present")])
    import_folder("coco", coco, folder, presence=table)
    task, items = read_back(folder)
    assert task.classes == {"rust": 1, "crack": 2}
    assert {place: item.mask is not None for place, item in items.items()} == {
        "present/images/a": True,
        "present/images/b": True,
        "absent/images/more/c": False,
        "present/images/d": False,
        "present/images/more/e": False,
    }
    star = read_mask(items["present/images/a"].mask, task)
    assert set(np.unique(star)) == {0, 2}
    assert differ_by_a_pixel_at_most(star == 2, by_matplotlib(STAR, star.shape))
    np.testing.assert_array_equal(read_mask(items["present/images/b"].mask, task), block())


def test_faults_of_coco_are_named_all_at_once(coco, tmp_path):
    file = coco / "annotations/instances.json"
    content = json.loads(file.read_text())
    content["images"].append({"id": 9, "file_name": "../../t.png", "height": 1, "width": 1})
    save(tmp_path / "t.png", picture())
    content["annotations"] += [
        {"id": 5, "image_id": 1, "category_id": 99, "segmentation": [[1, 1, 2, 2, 3, 1]]},
        {"id": 6, "image_id": 1, "category_id": 7, "segmentation": [], "bbox": [1, 2, 3, 4]},
        {"id": 7, "image_id": 77, "category_id": 7, "segmentation": [[1, 1, 2, 2, 3, 1]]},
    ]
    write_json(file, content)
    lines = refused("coco", coco, tmp_path / "mine")
    for words in ("no category 99", "no outline", "../../t.png: no such picture", "the id 77"):
        assert sum(words in line for line in lines) == 1
    content["images"].pop()
    content["images"][0]["width"] += 1
    content["annotations"] = content["annotations"][:2]
    content["annotations"][1]["segmentation"]["counts"] = [5, 6]
    write_json(file, content)
    lines = refused("coco", coco, tmp_path / "mine")
    assert len(lines) == 3  # e.png has no label either
    assert "a.png: a label of 36 x 41 for a picture of 36 x 40" in lines[0]
    assert "b.jpg: annotation 2: run lengths of 11 pixels, expected 1440" in lines[1]


def shape(label, points, kind="polygon", **more):
    return {"label": label, "points": points, "shape_type": kind, "flags": {}, **more}


@pytest.fixture
def labelme(tmp_path):
    source = tmp_path / "photos"
    names = ("a", "b", "c", "d")
    for number, name in enumerate(names):
        save(source / f"{name}.png", picture(number))
    file = io.BytesIO()
    Image.fromarray(block()[5:12, 8:20] > 0).save(file, "PNG")
    pasted = base64.b64encode(file.getvalue()).decode()
    shapes = {
        "a": [shape("crack", STAR)],
        "b": [
            shape("rust", [[30, 20], [22, 30]], "rectangle"),
            shape("rust", [[8, 5], [19, 11]], "mask", mask=pasted),
            shape("__ignore__", [[33, 6], [33, 10]], "circle"),
        ],
        "c": [],
    }
    for name, of_picture in shapes.items():
        content = {"imagePath": f"{name}.png", "imageHeight": HEIGHT, "imageWidth": WIDTH}
        write_json(source / f"{name}.json", content | {"shapes": of_picture, "imageData": None})
    return source


def test_labelme(labelme, tmp_path):
    table = write_table(tmp_path / "t.csv", [("d.png", "present")])
    import_folder("labelme", labelme, tmp_path / "mine", presence=table)
    task, items = read_back(tmp_path / "mine")
    assert (task.classes, task.ignore) == ({"crack": 1, "rust": 2}, VOID)
    assert {place: item.mask is not None for place, item in items.items()} == {
        "present/a": True, "present/b": True, "absent/c": False, "present/d": False,
    }  # fmt: skip
    star = read_mask(items["present/a"].mask, task)
    assert differ_by_a_pixel_at_most(star == 1, by_matplotlib(STAR, star.shape))
    several = read_mask(items["present/b"].mask, task)
    expected = block(2)
    expected[20:30, 22:30] = 2
    np.testing.assert_array_equal(several == 2, expected == 2)
    disc = Image.new("1", (WIDTH, HEIGHT))
    ImageDraw.Draw(disc).ellipse([33 - 4.5, 6 - 4.5, 33 + 3.5, 6 + 3.5], fill=1)
    assert differ_by_a_pixel_at_most(several == VOID, np.asarray(disc))


def test_faults_of_labelme_are_named_all_at_once(labelme, tmp_path):
    content = json.loads((labelme / "a.json").read_text())
    lines = [shape("crack", [[1, 1], [5, 5]], "linestrip"), shape("crack", [[1, 1], [5, 5]])]
    write_json(labelme / "a.json", content | {"shapes": lines})
    write_json(labelme / "z.json", content | {"imagePath": "/etc/z.png"})
    found = refused("labelme", labelme, tmp_path / "mine")
    for words in ("linestrip has no area", "a polygon of 2 points", "z.png: no such picture here"):
        assert sum(words in line for line in found) == 1


def test_names_that_would_not_be_found_again_are_refused(mvtec, tmp_path):
    save(mvtec / "test/good/000_mask.png", picture(50))
    (line,) = refused("mvtec", mvtec, tmp_path / "mine")
    assert "test/good/000_mask: a name that would be taken for" in line
    (mvtec / "test/good/000_mask.png").unlink()
    save(mvtec / "test/good/000.bmp", picture(50))
    assert len(refused("mvtec", mvtec, tmp_path / "mine")) == 2  # one name twice
