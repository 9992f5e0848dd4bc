"""Frames resized as pictures are, by other programs."""

from itertools import product

import av
import numpy as np
import pytest

from chiasm import fitting
from chiasm.video import resizing
from chiasm.video.colors import Converter, upright

SIZES = [(360, 640), (480, 854), (351, 473), (96, 64), (33, 65)]
WANTED = [(32, 32), (224, 224), (40, 24), (9, 40), (32, 48), (100, 200), (64, 96)]
LUMA = {1: (0.2126, 0.0722), 4: (0.3, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114)}
LUMA |= {7: (0.212, 0.087), 9: (0.2627, 0.0593)}
"""Shares of red and blue of matrices by their numbers, as ITU-T H.273 has them."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("wanted", WANTED)
def test_frames_are_as_pillow_makes_them(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    """Hard contrasts up to the edges of what is kept, which the filter looks beyond."""
    pixels = noise(*size)
    found, exact = resizing.fitted(pixels, *wanted), fitting.fitted(pixels, *wanted)
    assert found.shape == (*wanted, 3)
    assert found.flags["C_CONTIGUOUS"]
    assert np.abs(found.astype(int) - exact).max() <= 3


def test_usual_sizes_need_no_pillow(monkeypatch) -> None:
    monkeypatch.delattr(fitting, "fitted")
    for size in ((360, 640), (480, 854), (720, 1280), (1080, 1920), (480, 640), (1920, 1080)):
        for side in (32, 96, 224, 256):
            assert resizing.fitted(noise(*size), side, side).shape == (side, side, 3)


def test_a_frame_of_the_size_is_unchanged() -> None:
    pixels = noise(8, 6)
    assert resizing.fitted(pixels, 8, 6) is pixels


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", LUMA)
def test_small_frames_have_the_colors_of_matrix_and_range(
    matrix: int, full: bool, bits: int
) -> None:
    scaler = resizing.Scaler()
    for color in [*product((0, 255), repeat=3), (223, 171, 105), (128, 128, 128)]:
        frame = flat(yuv(color, matrix, full), bits)
        frame.color_range = 2 if full else 1
        found = scaler.small(frame, (96, 96), (8, 8), matrix)
        assert found.shape == (8, 8, 3)
        assert np.abs(found.astype(int) - color).max() <= 3, (color, found[0, 0])


@pytest.mark.parametrize("size", [(360, 640), (480, 854), (361, 477), (480, 352)])
@pytest.mark.parametrize("form", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le"])
def test_small_frames_are_as_pillow_makes_them_of_whole_ones(
    form: str, size: tuple[int, int]
) -> None:
    """But for hard edges between colors that no screen has, which whole frames cut off."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)
    picture = av.VideoFrame.from_ndarray(fitting.fitted(coarse, *size), format="rgb24")
    frame, told = picture.reformat(format=form), ((1, 0, 0, 1), None, "by_size", Converter())
    whole = upright(frame, *told)
    for wanted in ((32, 32), (40, 24), (9, 40)):
        found = upright(frame, *told, wanted).astype(int)
        # Whole frames of 10 bits are not rounded either way.
        most = 4 if "10" in form else 3
        assert np.abs(found - fitting.fitted(whole, *wanted)).max() <= most


def test_what_is_cropped_begins_with_a_sample_of_color() -> None:
    scaler, told = resizing.Scaler(), ((32, 32), 6)
    for width, taken in ((640, True), (642, True), (641, False)):
        frame = av.VideoFrame.from_ndarray(noise(360, width), format="rgb24")
        small = scaler.small(frame.reformat(format="yuv420p"), (360, width), *told)
        assert (small is not None) == taken


def yuv(color: tuple[int, ...], matrix: int, full: bool) -> tuple[float, ...]:
    red, blue = LUMA[matrix]
    r, g, b = (value / 255 for value in color)
    y = red * r + (1 - red - blue) * g + blue * b
    colors = (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
    if full:
        return 255 * y, *(min(255, 255 * c + 128) for c in colors)
    return 16 + 219 * y, *(128 + 224 * c for c in colors)


def flat(values: tuple[float, ...], bits: int) -> av.VideoFrame:
    frame = av.VideoFrame(96, 96, "yuv420p" if bits == 8 else "yuv420p10le")
    kind, most = (np.uint8, 255) if bits == 8 else (np.uint16, 1023)
    for plane, value in zip(frame.planes, values, strict=True):
        code = min(most, round(value * 2 ** (bits - 8)))
        plane.update(np.full(plane.buffer_size // kind().itemsize, code, kind).tobytes())
    return frame


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
