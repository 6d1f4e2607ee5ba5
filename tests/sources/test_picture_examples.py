"""The example folders: what is in them, that masks tell the truth, the same bytes each time."""

import hashlib

import numpy as np
import pytest
import yaml
from skimage.io import imread

from segtrans.cli.imports import Example
from segtrans.errors import UserError
from segtrans.sources.image_folder import examples
from segtrans.sources.image_folder.examples import KINDS, draw_defect, write_example
from segtrans.sources.image_folder.items import share_out
from segtrans.sources.image_folder.reading import read_image, read_mask
from segtrans.tasks.image_folder import ImageFolder


def digest(folder):
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(f"{path.relative_to(folder)}".encode() + path.read_bytes())
    return found.hexdigest()


def test_the_command_knows_every_kind():
    assert [kind.value for kind in Example] == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_is_a_sound_folder_with_few_masks(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(examples, "_N_OF_DOMAIN", 8)  # of 40: seconds less
    counts = write_example(tmp_path / "mine", kind=kind)
    settings = yaml.safe_load((tmp_path / "mine/dataset.yaml").read_text())
    own = {"kind": "image_folder", "directory": "mine"}
    task = ImageFolder.model_validate(settings | own, strict=False)
    items, _ = share_out(tmp_path / "mine", task, data_seed=0)
    to_train = [item for item in items if item.fold is None]
    assert counts["present"] == counts["absent"] == len(to_train) // 2
    assert counts["masks"] == sum(item.mask is not None for item in to_train)
    assert counts["masks"] / counts["present"] == pytest.approx(0.05, abs=0.01)
    # A block is in one part, and shows both domains in equal shares.
    of_group = {}
    for item in items:
        of_group.setdefault(item.group, []).append((item.domain, item.fold))
    assert all(len({fold for _, fold in found}) == 1 for found in of_group.values())
    assert all(
        2 * sum(domain == "present" for domain, _ in found) == len(found)
        for found in of_group.values()
    )
    for item in [item for item in items if item.mask][::6]:
        image, mask = read_image(item.files, task.channels), read_mask(item.mask, task)
        assert image.dtype == (np.uint16 if kind == "sixteen_bit" else np.uint8)
        assert image.shape == (64, 64, 3 if kind == "colour" else 1)
        assert 64 <= mask.sum() < 64 * 64 / 4
        # Paint is of one colour, but for what shines through.
        assert image[mask > 0].std(axis=0).max() < 0.11 * np.iinfo(image.dtype).max


def test_brightness_does_not_tell_who_has_a_defect(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "_N_OF_DOMAIN", 8)
    write_example(tmp_path / "mine", kind="grey")
    means = {
        domain: [imread(path).mean() for path in sorted((tmp_path / "mine" / domain).iterdir())]
        for domain in ("present", "absent")
    }
    above = np.greater.outer(means["present"], means["absent"])
    assert 0.42 < above.mean() < 0.58  # the area under the curve


@pytest.mark.parametrize("kind", KINDS)
def test_no_threshold_finds_the_defects(tmp_path, monkeypatch, kind):
    """Far from the picture's median is what paint is; on a smooth surface it once was enough."""
    monkeypatch.setattr(examples, "_N_OF_DOMAIN", 8)
    write_example(tmp_path / "mine", kind=kind)
    far, masks = [], []
    for file in sorted((tmp_path / "mine/test/masks").iterdir()):
        (picture,) = (tmp_path / "mine/test/present").glob(f"{file.stem}.*")
        image = imread(picture).astype(float).reshape(64, 64, -1)
        far.append(np.abs(image - np.median(image, axis=(0, 1))).mean(axis=2))
        masks.append(imread(file) > 0)
    found = [np.array(far) > limit for limit in np.quantile(far, np.linspace(0.5, 1, 101))]
    dice = [2 * (of & masks).sum() / (of.sum() + np.sum(masks)) for of in found]
    assert max(dice) < 0.7  # of the threshold that is best on these very pictures


def test_one_seed_gives_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "_N_OF_DOMAIN", 2)
    for name, seed in (("a", 0), ("again", 0), ("b", 1)):
        write_example(tmp_path / name, kind="sixteen_bit", seed=seed)
    assert digest(tmp_path / "a") == digest(tmp_path / "again") != digest(tmp_path / "b")


def test_defects_are_of_two_kinds_and_never_tiny():
    rng = np.random.default_rng(0)
    covers = [draw_defect(64, rng) for _ in range(100)]
    areas = np.array([(cover > 0.5).sum() for cover in covers])
    assert areas.min() >= 64
    fill = [
        area / np.prod([np.ptp(at) + 1 for at in np.nonzero(cover > 0.5)])
        for area, cover in zip(areas, covers, strict=True)
    ]
    assert sum(share > 0.6 for share in fill) > 30  # stains fill their box, cracks do not
    assert sum(share < 0.4 for share in fill) > 20


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        write_example(tmp_path, kind="grey")
    with pytest.raises(UserError, match="there are grey, colour, sixteen_bit"):
        write_example(tmp_path / "new", kind="pink")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
