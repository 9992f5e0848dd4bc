"""However a picture is given and stored, it becomes the RGB that a viewer shows."""

import ast
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import ExifTags, ImageOps
from PIL import Image as PillowImage

import chiasm
from chiasm.errors import UserError
from chiasm.rgb import decoded, held, opened, oriented_size

BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262
SHADES = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
"""Of a picture with 3 rows and 4 columns."""

CUT_OFF = b"P6 9 9 255 cut off"


def rgb(given: object) -> np.ndarray:
    return decoded(held(given))


def encoded(picture: PillowImage.Image | np.ndarray, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    if isinstance(picture, np.ndarray):
        picture = PillowImage.fromarray(picture)
    picture.save(file, format, **options)
    return file.getvalue()


def shades(values: np.ndarray) -> np.ndarray:
    """What grey of such 8-bit values becomes."""
    return np.repeat(np.asarray(values)[..., None], 3, axis=-1)


def turned(orientation: int, format: str, size: tuple[int, int] = (16, 8)) -> bytes:
    """A file whose left half is white as it is stored, of other size in viewers from 5 on."""
    picture = PillowImage.new("RGB", size)
    picture.paste("white", (0, 0, size[0] // 2, size[1]))
    picture.putpixel((size[0] - 1, 0), (255, 0, 0))
    exif = PillowImage.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(picture, format, exif=exif.tobytes())


def with_tag(tiff: bytes, tag: int, value: int) -> bytes:
    """The TIFF with another number in a tag that it has."""
    (directory,) = struct.unpack("<I", tiff[4:8])
    (count,) = struct.unpack("<H", tiff[directory : directory + 2])
    entries = [directory + 2 + 12 * number for number in range(count)]
    (place,) = (at for at in entries if struct.unpack("<H", tiff[at : at + 2]) == (tag,))
    return tiff[: place + 8] + struct.pack("<H", value) + tiff[place + 10 :]


def exif_last(png: bytes) -> bytes:
    """The PNG with its EXIF data behind its pixels, where some programs write it."""
    begin = png.index(b"eXIf") - 4
    (length,) = struct.unpack(">I", png[begin : begin + 4])
    chunk, end = png[begin : begin + 12 + length], png.index(b"IEND") - 4
    return png[:begin] + png[begin + len(chunk) : end] + chunk + png[end:]


# ---- orientation


def test_white_above_black_in_every_viewer_is_white_above_black():
    pixels = rgb(turned(6, "JPEG"))
    assert pixels.shape == (16, 8, 3)
    assert pixels[1:7, :-1].min() > 200
    assert pixels[9:, :-1].max() < 60


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "MPO", "AVIF"])
@given(orientation=st.integers(0, 9), size=st.sampled_from([(16, 8), (8, 16), (8, 8)]))
def test_pictures_stand_as_exif_says(format, orientation, size, tmp_path_factory):
    file = tmp_path_factory.mktemp("turned") / "picture"
    file.write_bytes(turned(orientation, format, size))
    with PillowImage.open(file) as picture:
        expected = np.array(ImageOps.exif_transpose(picture).convert("RGB"))
        np.testing.assert_array_equal(rgb(file), expected)
    with PillowImage.open(file) as picture:
        np.testing.assert_array_equal(rgb(picture), expected)
    assert oriented_size(file) == (expected.shape[1], expected.shape[0])


def test_exif_data_behind_the_pixels_of_a_png_counts(tmp_path):
    file = tmp_path / "picture.png"
    file.write_bytes(exif_last(turned(6, "PNG")))
    np.testing.assert_array_equal(rgb(file), rgb(turned(6, "PNG")))
    assert oriented_size(file) == (8, 16)


def test_broken_exif_data_says_nothing(tmp_path):
    picture = PillowImage.new("RGB", (6, 4), "red")
    file = tmp_path / "picture.jpg"
    file.write_bytes(encoded(picture, "JPEG", exif=b"Exif\0\0no such thing"))
    assert rgb(file).shape == (4, 6, 3)
    assert oriented_size(file) == (6, 4)


@pytest.mark.slow
def test_no_other_file_opens_pictures():
    opening = set()
    for path in Path(chiasm.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = ("PillowImage.open", "Image.open", "PIL.Image.open")
            if isinstance(node, ast.Attribute) and ast.unparse(node) in names:
                opening.add(path.name)
    assert opening == {"rgb.py"}


# ---- depth


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_floats_from_0_to_1_are_scaled(compression):
    expected = shades(np.rint(SHADES * 255))
    tiff = encoded(SHADES, "TIFF", compression=compression)
    for picture in (tiff, PillowImage.fromarray(SHADES), SHADES, SHADES[..., None]):
        np.testing.assert_array_equal(rgb(picture), expected)


@pytest.mark.parametrize("value", [-0.5, 1.5, 255.0, np.nan, np.inf])
def test_floats_outside_0_to_1_are_refused(value, tmp_path):
    values = SHADES.copy()
    values[1, 2] = value
    file = tmp_path / "depth.tif"
    PillowImage.fromarray(values).save(file)
    for picture in (file, PillowImage.fromarray(values), values, shades(values)):
        with pytest.raises(UserError, match=r"has values from .* must lie in \[0, 1\]: scale"):
            rgb(picture)
    with pytest.raises(UserError, match=r"depth\.tif of mode F"):
        rgb(file)


@given(values=arrays(np.uint16, (3, 4)))
def test_of_16_bits_the_high_byte_counts(values):
    expected = shades(values >> 8)
    big_endian = b"P5 4 3 65535\n" + values.astype(">u2").tobytes()
    files = [encoded(values, format) for format in ("PNG", "TIFF", "JPEG2000")]
    for picture in (*files, big_endian, values, values.astype(">u2"), shades(values)):
        np.testing.assert_array_equal(rgb(picture), expected)


def test_colours_of_16_bits_lose_their_low_byte():
    values = np.array([[[0x12FF, 0xFFFF, 0x00FF], [0x8000, 1, 0x7FFF]]])
    ppm = b"P6 2 1 65535\n" + values.astype(">u2").tobytes()
    expected = values >> 8
    assert abs(rgb(ppm).astype(int) - expected).max() <= 1  # Pillow rounds these
    np.testing.assert_array_equal(rgb(values.astype(np.uint16)), expected)


def test_a_tiff_of_12_bits_is_scaled_by_its_own_range():
    # Two values of 12 bits in three bytes, each row on its own: 0x000 0x800 0xfff 0x123.
    row = bytes([0x00, 0x08, 0x00, 0xFF, 0xF1, 0x23])
    stored = np.full((3, 4), 0xABCD, np.uint16)
    tiff = encoded(stored, "TIFF").replace(stored.tobytes(), row * 3 + bytes(6))
    expected = np.tile([0x00, 0x80, 0xFF, 0x12], (3, 1))
    np.testing.assert_array_equal(rgb(with_tag(tiff, BITS_PER_SAMPLE, 12)), shades(expected))


@pytest.mark.parametrize("values", [SHADES, (SHADES * 65535).astype(np.uint16)])
def test_a_tiff_whose_zero_is_white_is_no_negative(values):
    tiff = encoded(values, "TIFF")
    inverted = rgb(with_tag(tiff, PHOTOMETRIC, 0))
    np.testing.assert_array_equal(inverted, 255 - rgb(tiff))


@pytest.mark.parametrize("values", [np.arange(12), -np.arange(12), np.arange(12) << 20])
def test_integers_of_an_unknown_range_are_refused(values, tmp_path):
    values = values.reshape(3, 4).astype(np.int32)
    file = tmp_path / "counts.tif"
    PillowImage.fromarray(values).save(file)
    for picture in (PillowImage.fromarray(values), values, values.astype(np.int16)):
        with pytest.raises(UserError, match="cannot be made RGB without guessing"):
            rgb(picture)
    with pytest.raises(UserError, match=r"counts\.tif of mode I cannot .* 8 or 16 bits"):
        rgb(file)


# ---- modes


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_opaque_modes_are_pillows_rgb(mode):
    picture = PillowImage.effect_mandelbrot((9, 7), (-2, -1, 1, 1), 9).convert("RGB").convert(mode)
    np.testing.assert_array_equal(rgb(picture), np.array(picture.convert("RGB")))


@pytest.mark.parametrize("mode", ["LA", "PA", "RGBA", "RGBa"])
def test_what_is_transparent_is_white(mode):
    picture = PillowImage.new(mode, (2, 1))
    bands = len(picture.getbands())
    picture.putpixel((0, 0), (*[0] * (bands - 1), 255))
    picture.putpixel((1, 0), (0,) * bands)
    np.testing.assert_array_equal(rgb(picture), shades([[0, 255]]))


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "I;16"])
def test_one_transparent_colour_is_white(mode):
    black, grey = (0x0100, 0x2000) if mode == "I;16" else (1, 32)
    if mode == "I;16":
        picture = PillowImage.fromarray(np.array([[black, grey]], np.uint16))
    else:
        picture = PillowImage.fromarray(np.array([[black, grey]], np.uint8)).convert(mode)
    key = (black,) * 3 if mode == "RGB" else picture.getpixel((0, 0))
    shown = rgb(encoded(picture, "PNG", transparency=key))
    np.testing.assert_array_equal(shown, shades([[255, 32]]))


def test_colours_apart_in_16_bits_are_refused_where_pillow_scrambles_them():
    planes = np.arange(3 * 2 * 4, dtype=np.uint16).reshape(3, 2, 4) * 2000
    tags = {256: 4, 257: 2, 258: 16, 259: 1, 262: 2, 273: 0, 277: 3, 278: 2, 279: 16, 284: 2}
    ends = 8 + 2 + 12 * len(tags) + 4
    lists = struct.pack("<3H", 16, 16, 16) + b"\0\0"
    first = ends + len(lists) + 24
    lists += struct.pack("<3I", *(first + 16 * k for k in range(3))) + struct.pack(
        "<3I", 16, 16, 16
    )
    entries = b""
    for tag, value in tags.items():
        of_three = {258: (3, ends), 273: (4, ends + 8), 279: (4, ends + 20)}.get(tag)
        kind, content = of_three or (3, value)
        entries += struct.pack("<HHII", tag, kind, 3 if of_three else 1, content)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    tiff = head + lists + planes.tobytes()
    with PillowImage.open(io.BytesIO(tiff)) as picture:  # it says nothing
        assert (picture.mode, picture.size) == ("RGB", (4, 2))
        scrambled = np.asarray(picture)
    assert (scrambled != np.moveaxis(planes >> 8, 0, -1)).any()
    with pytest.raises(UserError, match=r"colours apart .planar.*save it pixel by pixel"):
        rgb(tiff)


def test_lab_is_refused_by_name(tmp_path):
    file = tmp_path / "colour.tif"
    PillowImage.new("LAB", (3, 4)).save(file)
    with pytest.raises(UserError, match=r"colour\.tif of mode LAB .* convert it to grey or RGB"):
        rgb(file)


def test_a_program_is_no_picture(tmp_path):
    """Pillow would have another program run it."""
    file = tmp_path / "a.png"
    PillowImage.new("RGB", (3, 4)).save(file, "EPS")
    with pytest.raises(UserError, match=r"a\.png is a program in PostScript, which is not run"):
        rgb(file)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "MPO", "TIFF"])
def test_of_several_frames_the_first_counts(format):
    frames = [PillowImage.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    pixels = rgb(encoded(frames[0], format, save_all=True, append_images=frames[1:]))
    assert pixels[..., 0].min() > 250
    assert pixels[..., 1:].max() < 5


# ---- what a picture is given as


@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
@pytest.mark.parametrize("type", [np.uint8, np.uint16, np.float64, np.bool_])
def test_arrays_of_grey_and_colours(type, channels):
    largest = {np.uint8: 255, np.uint16: 65535}.get(type, 1)
    values = np.zeros((3, 4) if channels is None else (3, 4, channels), type)
    values[0, 0] = largest  # white, and opaque where there is alpha
    if channels in (2, 4):
        values[..., -1] = largest
        values[2, 3, -1] = 0
    expected = np.zeros((3, 4, 3), np.uint8)
    expected[0, 0] = 255
    expected[2, 3] = 255 if channels in (2, 4) else 0
    shown = rgb(values)
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize("shape", [(5,), (3, 8, 8), (8, 8, 5), (0, 8, 3), (1, 8, 8, 3), ()])
def test_arrays_of_other_shapes_are_refused(shape):
    with pytest.raises(UserError, match=r"no picture: give \[H, W\], or \[H, W, C\]"):
        held(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("thing", [None, 3, [[1, 2]], object()])
def test_other_things_are_refused(thing):
    with pytest.raises(UserError, match=r"given as \w+; give a path, the bytes of a file, a PIL"):
        held(thing)


def test_a_path_may_be_a_string_and_bytes_any_buffer(tmp_path):
    content = turned(3, "PNG")
    file = tmp_path / "a.png"
    file.write_bytes(content)
    assert held(str(file)) == file
    assert held(bytearray(content)) == held(memoryview(content)) == content


def test_pixels_pass_without_a_copy():
    pixels = np.zeros((4, 4, 3), np.uint8)
    assert decoded(held(pixels)) is pixels


def test_a_pil_picture_is_left_as_it_was():
    picture = PillowImage.open(io.BytesIO(turned(6, "JPEG")))
    rgb(picture)
    assert picture.size == (16, 8)
    assert picture.getexif()[ExifTags.Base.Orientation] == 6


def test_a_broken_pil_picture_is_named():
    picture = PillowImage.open(io.BytesIO(CUT_OFF))
    with pytest.raises(UserError, match="picture in memory cannot be decoded"):
        held(picture)


def test_what_fails_while_a_file_is_open_is_named(tmp_path):
    file = tmp_path / "cut.ppm"
    file.write_bytes(CUT_OFF)
    with pytest.raises(UserError, match=r"cut\.ppm cannot be decoded"), opened(file) as picture:
        picture.load()
    with pytest.raises(UserError, match=r"gone\.png does not exist"):
        oriented_size(tmp_path / "gone.png")
