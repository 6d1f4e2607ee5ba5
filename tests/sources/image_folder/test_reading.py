"""Pictures and masks of every format, as other programs' writers leave them."""

import imagecodecs
import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from segtrans.errors import UserError
from segtrans.sources.image_folder.reading import read_image, read_mask
from tests.sources.image_folder.pictures import pixels, save, square, task

GREY, COLOUR = pixels(1), pixels(2, (24, 32, 3))
GREY_16, COLOUR_16 = pixels(3, dtype=np.uint16), pixels(4, (24, 32, 3), np.uint16)
FLOATS = pixels(5).astype(np.float32) / 7
ALPHA = pixels(6)
BITS = pixels(7, dtype=bool)


def tiff(content, **options):
    return lambda path: tifffile.imwrite(path, content, **options)


def by_imageio(content, **options):
    return lambda path: iio.imwrite(path, content, **options)


def by_pillow(content, mode=None, **options):
    image = Image.fromarray(content)
    return lambda path: (image.convert(mode) if mode else image).save(path, **options)


def with_palette(indices, palette):
    image = Image.fromarray(indices.astype(np.uint8)).convert("P")
    image.putdata(indices.ravel().tolist())
    image.putpalette(np.array(palette, np.uint8).ravel().tolist())
    return image


MIXED = np.array([[9, 9, 9], [200, 10, 0], [0, 80, 255]], np.uint8)
FILES = {
    "grey.png": (by_imageio(GREY), GREY),
    "colour.png": (by_imageio(COLOUR), COLOUR),
    "grey_16.png": (by_imageio(GREY_16), GREY_16),
    "colour_16.png": (lambda p: p.write_bytes(imagecodecs.png_encode(COLOUR_16)), COLOUR_16),
    "grey_alpha.png": (by_pillow(np.dstack([GREY, ALPHA])), GREY),
    "alpha.png": (by_pillow(np.dstack([COLOUR, ALPHA])), COLOUR),
    "alpha_16.png": (
        lambda p: p.write_bytes(imagecodecs.png_encode(np.dstack([COLOUR_16, GREY_16]))),
        COLOUR_16,
    ),
    "bits.png": (by_pillow(BITS), BITS * np.uint8(255)),
    "palette.png": (with_palette(GREY % 3, MIXED).save, MIXED[GREY % 3]),
    "grey_palette.png": (with_palette(GREY % 2, [[5] * 3, [77] * 3]).save, GREY % 2 * 72 + 5),
    "grey.bmp": (by_imageio(GREY), GREY),
    "colour.bmp": (by_imageio(COLOUR), COLOUR),
    "colour.webp": (by_pillow(COLOUR, lossless=True), COLOUR),
    "grey.tif": (tiff(GREY), GREY),
    "lzw.tif": (tiff(COLOUR, compression="lzw", predictor=True), COLOUR),
    "deflate.tiff": (tiff(GREY_16, compression="deflate"), GREY_16),
    "big_endian.tif": (tiff(GREY_16, byteorder=">"), GREY_16),
    "colour_16.tif": (tiff(COLOUR_16, photometric="rgb"), COLOUR_16),
    "planar.tif": (
        tiff(np.moveaxis(COLOUR, 2, 0), photometric="rgb", planarconfig="separate"),
        COLOUR,
    ),
    "alpha.tif": (
        tiff(np.dstack([COLOUR, ALPHA]), photometric="rgb", extrasamples=["unassalpha"]),
        COLOUR,
    ),
    "white_is_0.tif": (tiff(255 - GREY, photometric="miniswhite"), GREY),
    "bits.tif": (by_pillow(BITS, compression="group4"), BITS * np.uint8(255)),
    "floats.tif": (tiff(FLOATS), FLOATS),
    "doubles.tif": (tiff(FLOATS.astype(np.float64)), FLOATS.astype(np.float64)),
    "imagej.tif": (tiff(GREY_16[None, None], imagej=True), GREY_16),
    "palette.tif": (with_palette(GREY % 3, MIXED).save, MIXED[GREY % 3]),
    "grey.npy": (lambda p: np.save(p, FLOATS), FLOATS),
    "last.npy": (lambda p: np.save(p, COLOUR), COLOUR),
    "first.npy": (lambda p: np.save(p, np.moveaxis(COLOUR, 2, 0).astype(">u2")), COLOUR),
    "really_a_png.tif": (lambda p: by_imageio(COLOUR)(p.with_suffix(".png")), COLOUR),
}


@pytest.mark.parametrize("name", FILES)
def test_a_picture_is_read_as_it_was_written(tmp_path, name):
    write, truth = FILES[name]
    path = tmp_path / name
    write(path)
    if not path.exists():
        path.with_suffix(".png").rename(path)
    truth = truth[..., None] if truth.ndim == 2 else truth
    image = read_image([path], ["c"] * truth.shape[2])
    np.testing.assert_array_equal(image, truth)
    assert image.flags["C_CONTIGUOUS"]
    assert image.dtype == (np.uint16 if name == "first.npy" else truth.dtype)


def test_jpeg_is_read_as_pillow_does(tmp_path):
    path = save(tmp_path / "x.jpg", COLOUR)
    np.testing.assert_array_equal(read_image([path], "rgb"), np.asarray(Image.open(path)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tif", "p.png"])
def test_exif_orientation_is_applied(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / name
    if name == "x.tif":
        extra = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(path, COLOUR, photometric="rgb", extratags=extra)
    elif name == "p.png":
        with_palette(GREY % 3, MIXED).save(path, exif=exif)
    else:
        save(path, COLOUR, exif=exif)
    truth = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    assert truth.shape[:2] == ((32, 24) if orientation > 4 else (24, 32))
    np.testing.assert_array_equal(read_image([path], "rgb"), truth)


def test_files_of_one_image_are_its_channels(tmp_path):
    files = [save(tmp_path / f"x_000{k}.png", GREY + k) for k in range(2)]
    image = read_image(files, ["t1", "t2"])
    np.testing.assert_array_equal(image, np.dstack([GREY, GREY + 1]))
    save(files[1], GREY_16)
    with pytest.raises(UserError, match=r"x_0001.png: is 24 x 32 of uint16, and x_0000.png is"):
        read_image(files, ["t1", "t2"])


def animated(path):
    Image.fromarray(GREY).save(path, save_all=True, append_images=[Image.fromarray(GREY + 1)])


DAMAGED = {
    "empty.png": (lambda p: p.write_bytes(b""), "an empty file"),
    "text.png": (lambda p: p.write_text("hello"), "no picture that can be read"),
    "cut.png": (by_imageio(COLOUR), "it may be cut off or damaged"),
    "cut.jpg": (by_imageio(COLOUR), "it may be cut off or damaged"),
    "cut.bmp": (by_imageio(COLOUR), "it may be cut off or damaged"),
    "cut.webp": (by_pillow(COLOUR), "it may be cut off or damaged"),
    "cut.tif": (tiff(COLOUR), "it may be cut off or damaged"),
    "cut_deflate.tif": (tiff(COLOUR, compression="deflate"), "it may be cut off or damaged"),
    "cut.npy": (lambda p: np.save(p, COLOUR), "it may be cut off or damaged"),
    "stack.tif": (tiff(pixels(0, (5, 24, 32))), "a stack"),
    "pages.tif": (animated, "expected a single picture"),
    "frames.webp": (animated, "several frames"),
    "print.jpg": (by_pillow(COLOUR, "CMYK"), "CMYK colours; save it as RGB"),
    "print.tif": (by_pillow(COLOUR, "CMYK"), "SEPARATED colours; save it as grey or RGB"),
    "stack.npy": (lambda p: np.save(p, np.zeros((2, 3, 4, 5))), "has shape (2, 3, 4, 5)"),
    "text.npy": (lambda p: np.save(p, np.array([["a"]])), "expected numbers"),
    "pickle.npy": (lambda p: np.save(p, np.array([{}, {}])), "cannot be read (Object arrays"),
    "none.npy": (lambda p: np.save(p, np.zeros((0, 4))), "without pixels"),
    "colours.png": (by_imageio(COLOUR), "has 3 channels; expected 1 (grey)"),
    "alike.png": (by_imageio(np.dstack([GREY] * 3)), "has 3 channels, all alike; expected 1"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_no_picture_is_refused_by_name(tmp_path, name):
    write, words = DAMAGED[name]
    path = tmp_path / name
    write(path)
    if name.startswith("cut"):
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    channels = "rgb" if name.startswith("cut") else ["grey"]
    with pytest.raises(UserError) as raised:
        read_image([path], channels)
    assert str(raised.value).startswith(f"{path}: ")
    assert words in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


TWO = {"crack": 1, "rust": 2}
THREE = square(1) + square(1).T[:24, :24].repeat(2, axis=1)[:, :32]
assert set(np.unique(THREE)) == {0, 1, 2}
BLACK_FIRST = [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
MASKS = {
    "white.png": (by_pillow(square()), {}, square(1)),
    "ones.tif": (tiff(square(1).astype(np.uint16)), {}, square(1)),
    "floats.npy": (lambda p: np.save(p, square(1).astype(float)), {}, square(1)),
    "bits.png": (by_pillow(square().astype(bool)), {}, square(1)),
    "bools.npy": (lambda p: np.save(p, square().astype(bool)), {}, square(1)),
    "empty.png": (by_pillow(square(0)), {}, square(0)),
    "full.png": (by_pillow(np.full((24, 32), 255, np.uint8)), {}, np.ones((24, 32))),
    "grey_rgb.png": (by_pillow(np.dstack([square()] * 3)), {}, square(1)),
    "alpha.png": (by_pillow(np.dstack([square()] * 3 + [square(9)])), {}, square(1)),
    "two.bmp": (by_pillow(THREE), {"classes": TWO}, THREE),
    "palette.png": (with_palette(THREE, BLACK_FIRST).save, {"classes": TWO}, THREE),
    "palette.tif": (with_palette(THREE, BLACK_FIRST).save, {"classes": TWO}, THREE),
    "ignored.png": (by_pillow(np.where(THREE == 2, 9, THREE)), {"ignore": 9},
                    np.where(THREE == 2, 255, THREE)),
    "white_and_ignored.png": (by_pillow(np.where(THREE == 2, 9, THREE * 255)), {"ignore": 9},
                              np.where(THREE == 2, 255, THREE)),
    "ignored_255.png": (by_pillow(np.where(THREE == 2, 255, THREE)), {"ignore": 255},
                        np.where(THREE == 2, 255, THREE)),
}  # fmt: skip


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_is_read_as_it_was_drawn(tmp_path, name):
    write, values, truth = MASKS[name]
    write(tmp_path / name)
    mask = read_mask(tmp_path / name, task(**values))
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, truth)


SOFT = np.linspace(0, 255, 24 * 32).reshape(24, 32).astype(np.uint8)
BAD_MASKS = {
    "soft.png": (by_pillow(SOFT), {}, "soft edges, 256 values from 0 to 255"),
    "soft.npy": (lambda p: np.save(p, SOFT / 255), {}, "fractions or NaN"),
    "unknown.png": (by_pillow(square(7)), {}, "unknown value 7; expected 0 and 1, or 0 and 255"),
    "both.png": (by_pillow(np.where(THREE == 2, 255, THREE)), {}, "values 1 and 255; say ignore"),
    "class.png": (by_pillow(square(3)), {"classes": TWO},
                  "unknown value 3; expected 0 and 1 crack, 2 rust; say ignore: VALUE"),
    "white.png": (by_pillow(square()), {"classes": TWO}, "unknown value 255"),
    "negative.npy": (lambda p: np.save(p, -square(1).astype(int)), {}, "unknown value -1"),
    "large.tif": (tiff(square(1).astype(np.uint16) * 257), {}, "unknown value 257"),
    "colours.png": (by_pillow(MIXED[GREY % 3]), {}, "3 colours; expected a value for each class"),
    "really.png": (by_pillow(square(), format="JPEG"), {}, "compression changes the values"),
    "jpeg.tif": (tiff(np.dstack([square()] * 3), compression="jpeg"), {}, "compression changes"),
    "in_alpha.png": (by_pillow(np.dstack([square(0)] * 3 + [square()])), {}, "in its alpha"),
    "white_first.png": (with_palette(square(1), [[255] * 3, [0] * 3]).save, {},
                        "a palette that begins with white"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_MASKS)
def test_a_mask_that_says_something_else_is_refused(tmp_path, name):
    write, values, words = BAD_MASKS[name]
    write(tmp_path / name)
    with pytest.raises(UserError) as raised:
        read_mask(tmp_path / name, task(**values))
    assert str(raised.value).startswith(f"{tmp_path / name}: ")
    assert words in str(raised.value)
