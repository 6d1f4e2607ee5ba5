"""The clutter generator against a plain loop over pixels, its statistics, and its golden bytes."""

import hashlib

import numpy as np
import pytest
from scipy.stats import chisquare, norm

from segtrans.config.versions import CLUTTER_VERSION
from segtrans.data.store import Store
from segtrans.errors import UserError
from segtrans.sources.cluttered_mnist.clutter import write_cluttered_mnist
from segtrans.sources.cluttered_mnist.digits import Digits
from segtrans.sources.cluttered_mnist.pairs import PairMaker
from segtrans.tasks.registry import PAPER_TASKS

SIZES = {"train": 30, "valid": 6, "test": 4}
# Raise CLUTTER_VERSION when these change: data made before are then made again.
GOLDEN = {
    (1, "dither"): "d023db1fca705763",
    (1, "max"): "9ca91e3ce6f47ad1",
}


def strokes(n, seed=0):
    """Made-up digits: a bright and a dim stroke on a background of zeros."""
    rng = np.random.default_rng(seed)
    images = np.zeros((n, 28, 28), np.uint8)
    for image in images:
        row, column = rng.integers(4, 20, 2)
        image[row : row + 4, 4:24] = rng.integers(128, 256, (4, 20))
        image[4:24, column : column + 3] = rng.integers(1, 128, (20, 3))
    return images


def make_digits(n=40):
    labels = (np.arange(n) % 10).astype(np.uint8)
    return Digits(strokes(n), labels, np.zeros(n, bool), "made up")


def make(overlap="dither", noise_sd=0.01, size=48, n_pieces=24, digits=None):
    return PairMaker(
        strokes(20) if digits is None else digits,
        size=size,
        n_pieces=n_pieces,
        overlap=overlap,
        noise_sd=noise_sd,
        seed=(5,),
    )


def write(path, digits=None, **changes):
    arguments = {
        "task": "mnist48_hard",
        "digits_per_fold": SIZES,
        "images_per_fold": SIZES,
        "overlap": "dither",
        "noise_sd": 0.01,
        "data_seed": 0,
    }
    write_cluttered_mnist(path, digits or make_digits(), **(arguments | changes))
    return Store(path)


def paste_plainly(image, pieces, i, overlap):
    for k in range(pieces.patches.shape[1]):
        patch = pieces.patches[i, k]
        for row in range(len(patch)):
            for column in range(len(patch)):
                place = pieces.rows[i, k] + row, pieces.columns[i, k] + column
                there, pixel = image[place], patch[row, column]
                if overlap == "max" or there == 0 or pixel == 0:
                    image[place] = max(there, pixel)
                elif pieces.wins[i, k, row, column]:
                    image[place] = pixel


@pytest.mark.parametrize("overlap", ["dither", "max"])
@pytest.mark.parametrize(("size", "n_pieces", "noise_sd"), [(48, 24, 0.01), (61, 9, 0.3)])
def test_images_are_those_of_a_plain_loop(overlap, size, n_pieces, noise_sd):
    maker = make(overlap, noise_sd, size, n_pieces)
    draws = maker.draw(0, maker.choose(6))
    x_P, x_A, mask = maker.make(draws)
    for i in range(6):
        plain = np.zeros((2, size, size), int)
        paste_plainly(plain[0], draws.digit, i, overlap)
        paste_plainly(plain[0], draws.clutter_P, i, overlap)
        paste_plainly(plain[1], draws.clutter_A, i, overlap)
        noisy = np.minimum(np.maximum(plain + draws.noise[:, i], 0), 255)
        np.testing.assert_array_equal(x_P[i], noisy[0])
        np.testing.assert_array_equal(x_A[i], noisy[1])
        expected = np.zeros((size, size), int)
        row, column = draws.digit.rows[i, 0], draws.digit.columns[i, 0]
        expected[row : row + 28, column : column + 28] = draws.digit.patches[i, 0] / 255 > 0.5
        np.testing.assert_array_equal(mask[i], expected)


def test_dithering_takes_each_of_two_pixels_half_of_the_time():
    maker = make(noise_sd=0.0, size=28, n_pieces=0)
    draws = maker.draw(0, maker.choose(200))
    # At size 28 every digit fills the image; another digit lies below it.
    below = strokes(200, seed=1)
    images = below.copy()
    maker._paste(images, draws.digit)
    digit = draws.digit.patches[:, 0]
    meet = (below != 0) & (digit != 0) & (below != digit)
    share = np.mean(images[meet] == digit[meet])
    assert np.all((images[meet] == digit[meet]) | (images[meet] == below[meet]))
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(meet.sum())
    np.testing.assert_array_equal(images[~meet], np.maximum(below, digit)[~meet])


def test_the_digit_is_complete_and_clutter_comes_from_within_digits():
    digits = strokes(20)
    maker = make(digits=digits)
    chosen = maker.choose(20)
    draws = maker.draw(0, chosen)
    np.testing.assert_array_equal(draws.digit.patches[:, 0], digits[chosen])
    crops = np.lib.stride_tricks.sliding_window_view(digits, (10, 10), axis=(1, 2))
    known = {crop.tobytes() for crop in crops.reshape(-1, 10, 10)}
    for clutter in (draws.clutter_P, draws.clutter_A):
        assert clutter.patches.shape == (20, 24, 10, 10)
        assert {crop.tobytes() for crop in clutter.patches.reshape(-1, 10, 10)} <= known


def test_places_are_uniform_and_wholly_inside():
    maker = make()
    draws = maker.draw(0, np.zeros(2000, np.int64))
    for pieces, n_places in ((draws.digit, 21), (draws.clutter_A, 39)):
        for places in (pieces.rows, pieces.columns):
            counts = np.bincount(places.ravel(), minlength=n_places)
            assert len(counts) == n_places
            assert chisquare(counts).pvalue > 1e-4


def test_absence_images_have_clutter_of_their_own():
    maker = make(noise_sd=0.0)
    draws = maker.draw(0, maker.choose(20))
    assert not np.array_equal(draws.clutter_P.patches, draws.clutter_A.patches)
    assert not np.array_equal(draws.clutter_P.rows, draws.clutter_A.rows)


@pytest.mark.parametrize("noise_sd", [0.01, 0.2])
def test_noise_is_rounded_normal_noise(noise_sd):
    maker = make(noise_sd=noise_sd, n_pieces=0)
    noise = maker.draw(0, np.zeros(100, np.int64)).noise.ravel()
    steps = np.arange(-255, 256)
    sd = 255 * noise_sd
    share = norm.cdf(steps + 0.5, scale=sd) - norm.cdf(steps - 0.5, scale=sd)
    is_frequent = share * len(noise) > 10
    counts = np.array([(noise == step).sum() for step in steps])
    observed = [*counts[is_frequent], counts[~is_frequent].sum()]
    expected = np.array([*share[is_frequent], 1 - share[is_frequent].sum()]) * len(noise)
    assert chisquare(observed, expected).pvalue > 1e-4
    assert noise.std() == pytest.approx(sd, rel=0.01)


def test_no_noise_leaves_a_background_of_zeros():
    maker = make(noise_sd=0.0, n_pieces=0)
    x_P, x_A, _ = maker.make(maker.draw(0, maker.choose(20)))
    assert not x_A.any()
    assert x_P.any(axis=(1, 2)).all()


def test_digits_are_drawn_in_shuffled_rounds():
    maker = make()
    chosen = maker.choose(50)
    for start in (0, 20):
        np.testing.assert_array_equal(np.sort(chosen[start : start + 20]), np.arange(20))
    assert len(np.unique(chosen[40:])) == 10
    assert not np.array_equal(chosen[:20], chosen[20:40])


@pytest.mark.parametrize("task", ["mnist48_simple", "mnist48_hard", "mnist128"])
def test_a_data_set_is_a_store_of_the_task(tmp_path, task):
    digits = make_digits()
    images = {"train": 70, "valid": 6, "test": 4}
    store = write(tmp_path / "data.h5", digits, task=task, images_per_fold=images)
    facts = PAPER_TASKS[task]
    assert store.image_shape == (1, facts.height, facts.width)
    assert store.header.task == task
    assert store.header.channels == ("intensity",)
    assert (store.header.source, store.header.source_sha256) == ("made up", digits.sha256)
    assert store.header.parameters == {
        "clutter_pieces": facts.clutter_pieces,
        "clutter_version": CLUTTER_VERSION,
        "digits_per_fold": SIZES,
        "images_per_fold": images,
        "noise_sd": 0.01,
        "overlap": "dither",
    }
    sources = {}
    for fold, n in images.items():
        assert store.n(fold, "present") == store.n(fold, "absent") == n
        assert store.scale(fold, "present") == store.scale(fold, "absent") == 1 / 255
        provenance = store.provenance(fold, "present")
        sources[fold] = set(provenance["source_index"].tolist())
        assert len(sources[fold]) == SIZES[fold]
        np.testing.assert_array_equal(
            provenance["digit"], digits.labels[provenance["source_index"]]
        )
    assert len(set.union(*sources.values())) == sum(SIZES.values())


def cropped(mask):
    rows, columns = np.nonzero(mask)
    return mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def test_masks_belong_to_their_digit_and_image(tmp_path):
    digits = make_digits()
    store = write(tmp_path / "data.h5", digits, noise_sd=0.0, overlap="max")
    images, masks = store.images("train", "present"), store.masks("train")
    for image, mask, source in zip(
        images[:, 0], masks, store.provenance("train", "present")["source_index"], strict=True
    ):
        bright = digits.images[source] / 255 > 0.5
        np.testing.assert_array_equal(cropped(mask), cropped(bright))
        # The brighter pixel wins, so that the digit is there in full.
        assert np.all(image[mask == 1] >= digits.images[source][bright])


def test_clutter_comes_from_the_fold_alone(tmp_path):
    digits = make_digits()
    levels = {"train": 200, "valid": 150, "test": 100}
    folds = write(tmp_path / "any.h5", digits)
    images = np.zeros_like(digits.images)
    for fold, level in levels.items():
        images[folds.provenance(fold, "present")["source_index"], 5:20, 5:20] = level
    marked = Digits(images, digits.labels, digits.is_test, "marked")
    store = write(tmp_path / "marked.h5", marked, noise_sd=0.0)
    for fold, level in levels.items():
        for domain in ("present", "absent"):
            assert np.unique(store.images(fold, domain)).tolist() == [0, level]


def test_equal_parameters_give_equal_bytes_and_the_seed_other_ones(tmp_path):
    names = ("first", "again", "other")
    for name, seed in zip(names, (0, 0, 1), strict=True):
        write(tmp_path / name, data_seed=seed)
    first, again, other = ((tmp_path / name).read_bytes() for name in names)
    assert first == again
    assert first != other


def test_folds_and_blocks_differ(tmp_path):
    store = write(tmp_path / "data.h5", images_per_fold=SIZES | {"train": 600})
    images = store.images("train", "absent")
    hashes = {image.tobytes() for image in images} | {
        image.tobytes() for image in store.images("valid", "absent")
    }
    assert len(hashes) == 606


@pytest.mark.parametrize("overlap", ["dither", "max"])
def test_golden_content(tmp_path, overlap):
    store = write(tmp_path / "data.h5", overlap=overlap)
    digest = hashlib.sha256()
    for fold in SIZES:
        digest.update(store.images(fold, "present").tobytes())
        digest.update(store.images(fold, "absent").tobytes())
        digest.update(store.masks(fold).tobytes())
        digest.update(store.provenance(fold, "present")["source_index"].tobytes())
    assert digest.hexdigest()[:16] == GOLDEN[CLUTTER_VERSION, overlap]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "brats"}, "task = brats: no cluttered MNIST; allowed: mnist48_simple"),
        ({"overlap": "sum"}, "overlap = sum: allowed: dither, max"),
        ({"noise_sd": -0.1}, "noise_sd = -0.1: allowed: 0 to 1"),
        ({"noise_sd": float("nan")}, "noise_sd = nan"),
        ({"data_seed": -1}, "data_seed = -1: at least 0"),
        ({"images_per_fold": SIZES | {"test": 0}}, "number of images to test = 0: at least 1"),
        ({"digits_per_fold": SIZES | {"train": 31}}, "the source has 40"),
    ],
)
def test_impossible_values_are_refused_and_nothing_is_written(tmp_path, changes, message):
    with pytest.raises(UserError) as refusal:
        write(tmp_path / "data.h5", **changes)
    assert message in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_a_progress_bar_is_for_terminals_only(tmp_path, capfd):
    write(tmp_path / "data.h5")
    assert capfd.readouterr() == ("", "")
