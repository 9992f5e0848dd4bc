"""Pictures cropped and resized, also those that were shrunk before."""

import numpy as np
import pytest

from chiasm.fitting import fitted


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_picture_of_the_size_is_unchanged() -> None:
    pixels = picture(8, 6)
    assert fitted(pixels, 8, 6) is pixels


@pytest.mark.parametrize(("size", "kept"), [((40, 80), np.s_[:, 20:60]), ((90, 30), np.s_[30:60])])
def test_the_middle_is_kept(size: tuple[int, int], kept: tuple) -> None:
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[kept] = 200
    inner = fitted(pixels, 10, 10)[1:-1, 1:-1]
    assert (inner == 200).all()


def test_a_shrunk_picture_is_cropped_as_the_whole_one() -> None:
    """Of 301 by 157 pixels, 3 by 3 of which make one: no whole number of them."""
    coarse = fitted(picture(20, 20), 303, 159)[:301, :157]
    blocks = np.pad(coarse, ((0, 2), (0, 2), (0, 0)), mode="edge")
    shrunk = blocks.reshape(101, 3, 53, 3, 3).mean((1, 3)).round().astype(np.uint8)
    wanted = fitted(coarse, 16, 16).astype(int)
    found = fitted(shrunk, 16, 16, shrunk_from=(301, 157))
    assert np.abs(found - wanted).mean() < 2
    assert np.abs(fitted(shrunk, 16, 16) - wanted).mean() < 3
