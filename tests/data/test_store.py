"""The layout round trip, its bytes, and every kind of damaged, foreign or missing file."""

import errno
import fcntl
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest

from segtrans.data.store import DOMAINS, FOLDS, Store, StoreHeader, write_store
from segtrans.errors import UserError

HEADER = StoreHeader(
    task="mnist48_simple",
    channels=("t1", "flair"),
    parameters={"b": 1, "a": [2, 3]},
    source="made up",
    source_sha256="ab" * 32,
    data_seed=7,
    labels={0: "background", 1: "core", 2: "oedema", 3: "rim"},
)
SIZES = {"train": 41, "valid": 5, "test": 3}
SHAPE = (2, 64, 32)  # 16 samples of uint8 to a chunk


def make_arrays(dtype="uint8"):
    rng = np.random.default_rng(0)
    arrays = {}
    for fold, n in SIZES.items():
        for domain in DOMAINS:
            arrays[fold, domain, "image"] = rng.integers(0, 99, (n, *SHAPE)).astype(dtype)
        mask = np.zeros((n, *SHAPE[1:]), np.uint8)
        mask[:, 3:9, 2:7] = 1 + np.arange(n)[:, None, None] % 3
        arrays[fold, "present", "mask"] = mask
        arrays[fold, "present", "source_index"] = rng.permutation(n)
    return arrays


def write(path, arrays, block=7, header=HEADER):
    with write_store(path, header) as writer:
        for (fold, domain, name), values in arrays.items():
            dataset = writer.add(
                fold,
                domain,
                name,
                shape=values.shape,
                dtype=values.dtype,
                scale=0.5 if name == "image" else None,
            )
            for start in range(0, len(values), block):
                dataset.append(values[start : start + block])


@pytest.fixture
def arrays():
    return make_arrays()


@pytest.fixture
def path(tmp_path, arrays):
    path = tmp_path / "data.h5"
    write(path, arrays)
    return path


def refusal(path):
    with pytest.raises(UserError) as caught:
        Store(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_what_is_written_comes_back(tmp_path, dtype):
    path, arrays = tmp_path / "data.h5", make_arrays(dtype)
    write(path, arrays)
    store = Store(path)
    assert store.header == HEADER
    assert store.image_shape == SHAPE
    for fold in FOLDS:
        for domain in DOMAINS:
            assert store.n(fold, domain) == SIZES[fold]
            assert store.scale(fold, domain) == 0.5
            images = store.images(fold, domain)
            assert images.dtype == dtype
            np.testing.assert_array_equal(images, arrays[fold, domain, "image"])
        np.testing.assert_array_equal(store.masks(fold), arrays[fold, "present", "mask"])
        provenance = store.provenance(fold, "present")
        assert list(provenance) == ["source_index"]
        np.testing.assert_array_equal(
            provenance["source_index"], arrays[fold, "present", "source_index"]
        )
        assert store.provenance(fold, "absent") == {}


@pytest.mark.parametrize("indices", [[40, 0, 17, 0, 16, 15], [3], []])
def test_samples_come_in_the_order_asked_for(path, arrays, indices):
    wanted = np.array(indices, np.int64)
    store = Store(path)
    np.testing.assert_array_equal(
        store.images("train", "absent", wanted), arrays["train", "absent", "image"][wanted]
    )
    np.testing.assert_array_equal(
        store.masks("train", wanted), arrays["train", "present", "mask"][wanted]
    )


def test_the_layout_is_the_documented_one(path):
    with h5py.File(path) as file:
        assert sorted(file) == sorted(FOLDS)
        assert sorted(file["train/present"]) == ["image", "mask", "source_index"]
        assert list(file["train/absent"]) == ["image"]
        assert file["train/present/image"].chunks == (16, *SHAPE)
        assert file["train/present/image"].compression == "gzip"
        assert dict(file.attrs) == {
            "schema_version": 2,
            "task": "mnist48_simple",
            "channels": '["t1", "flair"]',
            "labels": '{"0": "background", "1": "core", "2": "oedema", "3": "rim"}',
            "parameters": '{"a": [2, 3], "b": 1}',
            "source": "made up",
            "source_sha256": "ab" * 32,
            "data_seed": 7,
        }


def test_equal_content_has_equal_bytes_whenever_and_in_whatever_blocks(path, arrays, tmp_path):
    time.sleep(1.1)  # HDF5 keeps times in seconds
    write(tmp_path / "again.h5", arrays, block=41)
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()
    assert Store(tmp_path / "again.h5").sha256() == Store(path).sha256()


def test_the_hash_is_that_of_the_file(path):
    answer = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
    assert Store(path).sha256() == answer.stdout.split()[0]


def test_a_pickled_store_reads_in_another_process(path, arrays):
    store = Store(path)
    store.images("train", "present")
    code = (
        "import pickle, sys; store = pickle.loads(sys.stdin.buffer.read());"
        "print(int(store.images('train', 'present').sum()))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(store), capture_output=True, check=True
    )
    assert int(answer.stdout) == int(arrays["train", "present", "image"].sum())


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # threads of other tests
def test_a_forked_process_opens_the_file_for_itself(path, arrays):
    store = Store(path)
    store.images("train", "present")
    reader, writer = os.pipe()
    if os.fork() == 0:
        total = int(store.images("train", "absent").sum())
        os.write(writer, str(total).encode())
        os._exit(0)
    os.wait()
    assert int(os.read(reader, 100)) == int(arrays["train", "absent", "image"].sum())
    np.testing.assert_array_equal(
        store.images("train", "present"), arrays["train", "present", "image"]
    )


def test_a_failure_leaves_nothing_and_keeps_the_file_before(path, arrays):
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), write_store(path, HEADER) as writer:
        writer.add("train", "present", "image", shape=(3, *SHAPE), dtype=np.uint8, scale=1.0)
        raise ZeroDivisionError
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["data.h5"]


@pytest.mark.parametrize("n_appended", [2, 4])
def test_missing_and_surplus_samples_are_refused(tmp_path, n_appended):
    with (
        pytest.raises(ValueError, match="samples of 3"),
        write_store(tmp_path / "data.h5", HEADER) as writer,
    ):
        dataset = writer.add("train", "present", "digit", shape=(3,), dtype=np.uint8)
        dataset.append(np.zeros(n_appended, np.uint8))
    assert not list(tmp_path.iterdir())


def test_samples_of_another_type_are_refused(tmp_path):
    with (
        pytest.raises(ValueError, match="is uint8, not int64"),
        write_store(tmp_path / "data.h5", HEADER) as writer,
    ):
        dataset = writer.add("train", "present", "digit", shape=(3,), dtype=np.uint8)
        dataset.append(np.zeros(3, np.int64))


def test_a_file_that_is_missing(tmp_path):
    message = refusal(tmp_path / "data.h5")
    assert "no such data file; make it with `segtrans cluttered-mnist`" in message


@pytest.mark.parametrize("content", [b"", b"no HDF5 at all", None])
def test_a_file_that_is_no_hdf5_or_truncated(path, content):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    message = refusal(path)
    assert "no HDF5 data set, or a damaged one" in message
    assert "delete it and make it again with `segtrans cluttered-mnist`" in message


def test_every_truncation_is_noticed(path):
    whole = path.read_bytes()
    for length in np.linspace(1, len(whole) - 1, 40).astype(int):
        path.write_bytes(whole[:length])
        refusal(path)


def test_another_schema_version_says_both(path):
    with h5py.File(path, "a") as file:
        file.attrs["schema_version"] = 1  # which did not say what the values of masks mean
    message = refusal(path)
    assert (
        "is of schema version 1, this program reads version 2; delete it and make it again"
        in message
    )


def test_a_foreign_hdf5_file(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"] = np.zeros(3)
    assert "no data set of ours" in refusal(tmp_path / "data.h5")


@pytest.mark.parametrize("lost", ["valid/absent", "test/present/mask", "train/present/image"])
def test_a_lost_part_is_named(path, lost):
    with h5py.File(path, "a") as file:
        del file[lost]
    assert f"damaged one (/{lost}" in refusal(path)


def test_a_lost_attribute(path):
    with h5py.File(path, "a") as file:
        del file.attrs["channels"]
    assert "channels" in refusal(path)
    with h5py.File(path, "a") as file:
        file.attrs["channels"] = "[not JSON"
    assert "damaged" in refusal(path)


def test_shapes_that_do_not_fit_each_other(path):
    with h5py.File(path, "a") as file:
        del file["test/present/mask"]
        file["test/present/mask"] = np.zeros((4, 64, 32), np.uint8)
    assert "/test/present/mask is (4, 64, 32), expected (3, 64, 32)" in refusal(path)
    with h5py.File(path, "a") as file:
        del file["valid/absent/image"]
        file["valid/absent/image"] = np.zeros((4, 1, 64, 32), np.uint8)
    assert "/valid/absent/image is (4, 1, 64, 32), expected ('N', 2, 64, 32)" in refusal(path)


def damage(path, place):
    """Turns eight bytes over in the second chunk of a dataset."""
    with h5py.File(path) as file:
        chunk = file[place].id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    middle = chunk.byte_offset + chunk.size // 2
    content[middle : middle + 8] = bytes(255 - value for value in content[middle : middle + 8])
    path.write_bytes(content)


def test_a_damaged_chunk_of_masks_is_named_when_the_file_is_opened(path):
    damage(path, "train/present/mask")
    assert refusal(path).startswith(f"{path}: /train/present/mask is damaged")


def test_a_damaged_chunk_of_images_is_named_when_it_is_read(path):
    damage(path, "train/absent/image")
    store = Store(path)
    store.images("train", "present")
    with pytest.raises(UserError) as caught:
        store.images("train", "absent")
    assert str(caught.value).startswith(f"{path}: /train/absent/image is damaged")
    with pytest.raises(UserError, match="is damaged"):
        store.images("train", "absent", np.array([20]))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (255, "holds 255 (255 is kept for pixels that training leaves out); expected 0 background"),
        (4, "a mask holds 4; expected 0 background, 1 core, 2 oedema, 3 rim; write the masks"),
    ],
)
def test_a_mask_value_without_a_meaning_is_refused_in_writing_and_in_opening(
    path, arrays, tmp_path, value, words
):
    arrays["valid", "present", "mask"][-1, 5, 5] = value
    other = tmp_path / "other.h5"
    with pytest.raises(UserError) as caught:
        write(other, arrays)
    assert str(caught.value).startswith(f"{other}: /valid/present/mask: ")
    assert words in str(caught.value)
    assert not other.exists()
    with h5py.File(path, "a") as file:  # as a program of one's own would write it
        file["valid/present/mask"][-1, 5, 5] = value
    message = refusal(path)
    assert "/valid/present/mask" in message
    assert words in message


def test_pixels_that_count_neither_way_are_kept_where_the_header_says_so(tmp_path, arrays):
    arrays["train", "present", "mask"][-1, 5, 5] = 255
    write(tmp_path / "data.h5", arrays, header=replace(HEADER, has_void=True))
    store = Store(tmp_path / "data.h5")
    assert store.header.has_void
    np.testing.assert_array_equal(store.masks("train"), arrays["train", "present", "mask"])
    del store
    with h5py.File(tmp_path / "data.h5", "a") as file:
        del file.attrs["has_void"]
    assert "holds 255" in refusal(tmp_path / "data.h5")


def test_the_meaning_of_the_values_is_in_the_file(path):
    assert Store(path).header.labels[2] == "oedema"
    with h5py.File(path, "a") as file:
        del file.attrs["labels"]
    assert "labels" in refusal(path)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({0: "background", 255: "digit"}, "255 is kept for pixels that training leaves out"),
        ({1: "digit"}, "labels of masks are 1; expected 0"),
        ({}, "are none; expected 0"),
        ({0: "background", 256: "digit"}, "expected 0, the background, and at least one of 1 to"),
    ],
)
def test_meanings_that_training_and_scoring_would_not_share_are_refused(
    path, tmp_path, labels, words
):
    header = replace(HEADER, labels=labels)
    with (
        pytest.raises(UserError, match=words),
        write_store(tmp_path / "other.h5", header),
    ):
        pass
    with h5py.File(path, "a") as file:
        file.attrs["labels"] = json.dumps(labels)
    assert words in refusal(path)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), None])
def test_a_scale_that_says_nothing_is_refused_in_writing_and_in_opening(path, tmp_path, scale):
    shape = (3, *SHAPE)
    with (
        pytest.raises(
            UserError, match=rf"train/present/image: scale is {scale}; expected .* above"
        ),
        write_store(tmp_path / "other.h5", HEADER) as writer,
    ):
        writer.add("train", "present", "image", shape=shape, dtype=np.uint8, scale=scale)
    if scale is not None:
        with h5py.File(path, "a") as file:
            file["test/absent/image"].attrs["scale"] = scale
        assert f"/test/absent/image: scale is {scale}" in refusal(path)


def test_an_empty_fold_is_refused_in_writing_and_in_opening(path, tmp_path):
    with (
        pytest.raises(UserError, match="valid/absent/image: holds no sample; expected at least"),
        write_store(tmp_path / "other.h5", HEADER) as writer,
    ):
        writer.add("valid", "absent", "image", shape=(0, *SHAPE), dtype=np.uint8, scale=1.0)
    with h5py.File(path, "a") as file:
        del file["valid/absent/image"]
        file["valid/absent/image"] = np.zeros((0, *SHAPE), np.uint8)
        file["valid/absent/image"].attrs["scale"] = 1.0
    assert "/valid/absent/image: holds no sample" in refusal(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_that_is_no_number_is_not_written(tmp_path, value):
    arrays = make_arrays("float16")
    arrays["test", "absent", "image"][1, 0, 2, 3] = value
    with pytest.raises(UserError, match="test/absent/image: an image holds NaN or an infinite"):
        write(tmp_path / "data.h5", arrays)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["mask", "image"])
def test_values_of_another_type_are_refused(path, name):
    place = f"train/present/{name}"
    with h5py.File(path, "a") as file:
        values, scale = file[place][()], dict(file[place].attrs)
        del file[place]
        file[place] = values.astype(np.int64 if name == "mask" else bool)
        file[place].attrs.update(scale)
    assert f"/{place} is {'int64' if name == 'mask' else 'bool'}, expected" in refusal(path)


def test_a_folder_that_cannot_be_written(tmp_path, arrays, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write(tmp_path / "file" / "data.h5", arrays)

    def refuse(*_args, **_kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(UserError, match="Read-only file system"):
        write(tmp_path / "data.h5", arrays)


def write_within(limit, path):
    """In a process of its own: a file-size limit fails a write as a full disk does."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        write(path, make_arrays())
    except UserError as error:
        print(error)


@pytest.mark.parametrize("limit", [600, 20_000, 100_000])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, limit):
    path = tmp_path / "data.h5"
    code = f"import runpy; runpy.run_path({__file__!r})['write_within']({limit}, {str(path)!r})"
    code = code.replace(repr(str(path)), f"__import__('pathlib').Path({str(path)!r})")
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.startswith(f"{path}: cannot be written (File too large)")
    assert not list(tmp_path.iterdir())


def test_a_file_that_another_process_has_locked_is_read(path):
    """So it needs no locks either, which not every file system has."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert Store(path).n("train", "present") > 0


def test_a_flipped_bit_is_noticed_wherever_it_changes_something(path):
    """Chunks have a checksum of deflate, all else one of HDF5."""

    def content(store):
        parts = [store.header, store.image_shape]
        for fold in FOLDS:
            for domain in DOMAINS:
                parts.append((store.scale(fold, domain), store.images(fold, domain).tobytes()))
                parts.append(sorted(map(repr, store.provenance(fold, domain).items())))
            parts.append(store.masks(fold).tobytes())
        return parts

    whole, expected, n_noticed = path.read_bytes(), content(Store(path)), 0
    for place in np.random.default_rng(0).choice(len(whole), 150, replace=False).tolist():
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            assert content(Store(path)) == expected, place
        except UserError:
            n_noticed += 1
    assert n_noticed > 20
