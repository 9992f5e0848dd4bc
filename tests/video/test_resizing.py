"""Frames resized as pictures are, by another program."""

import numpy as np
import pytest

from chiasm import fitting
from chiasm.video import resizing

SIZES = [(360, 640), (480, 854), (351, 473), (96, 64), (33, 65)]
WANTED = [(32, 32), (224, 224), (40, 24), (9, 40), (32, 48), (100, 200), (64, 96)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("wanted", WANTED)
def test_frames_are_as_pillow_makes_them(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    """Hard contrasts up to the edges of what is kept, which the filter looks beyond."""
    pixels = noise(*size)
    found, exact = resizing.fitted(pixels, *wanted), fitting.fitted(pixels, *wanted)
    assert found.shape == (*wanted, 3)
    assert found.flags["C_CONTIGUOUS"]
    assert np.abs(found.astype(int) - exact).max() <= 2


def test_usual_sizes_need_no_pillow(monkeypatch) -> None:
    monkeypatch.delattr(fitting, "fitted")
    for size in ((360, 640), (480, 854), (720, 1280), (1080, 1920), (480, 640), (1920, 1080)):
        for side in (32, 96, 224, 256):
            assert resizing.fitted(noise(*size), side, side).shape == (side, side, 3)


def test_frames_that_were_shrunk_before_are_cropped_as_the_whole_ones() -> None:
    """Here one of which three rows make one, so that its own middle is another part."""
    whole = fitting.fitted(noise(20, 10), 303, 159)
    shrunk = whole.reshape(101, 3, 159, 3).mean(1).round().astype(np.uint8)
    found = resizing.fitted(shrunk, 16, 16, shrunk_from=(303, 159)).astype(int)
    exact = fitting.fitted(shrunk, 16, 16, shrunk_from=(303, 159))
    assert np.abs(found - exact).max() <= 2


def test_a_frame_of_the_size_is_unchanged() -> None:
    pixels = noise(8, 6)
    assert resizing.fitted(pixels, 8, 6) is pixels


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
