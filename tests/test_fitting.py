"""Pictures cropped and resized."""

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
    inner = fitted(pixels, 10, 10)[3:-3, 3:-3]  # the filter looks beyond the edges
    assert (inner == 200).all()


def test_sides_that_rounding_makes_a_trifle_too_long() -> None:
    assert fitted(picture(351, 473), 100, 200).shape == (100, 200, 3)
