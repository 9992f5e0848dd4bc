"""Light by the standards' own numbers, and how it is rolled off."""

import numpy as np
import pytest

from chiasm.video.hdr import shown

PQ = {0: 0.0, 1: 0.1499, 10: 0.3014, 50: 0.4401, 100: 0.5081, 203: 0.5807, 1000: 0.7518, 10000: 1.0}
"""Code values of ITU-R BT.2100 and BT.2408 by nits."""


def grey(code: float, transfer: str) -> int:
    codes = np.full((1, 2, 3), round(65535 * code), np.uint16)
    pixels = shown(codes, transfer)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (1, 2, 3))
    assert len(np.unique(pixels)) == 1
    return int(pixels[0, 0, 0])


def srgb(light: float) -> float:
    return 255 * (12.92 * light if light < 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("nits", [0, 1, 10, 50])
def test_dark_tones_are_those_of_an_ordinary_screen(nits: int) -> None:
    assert abs(grey(PQ[nits], "PQ") - srgb(nits / 203)) <= 1


def test_bright_tones_are_rolled_off() -> None:
    levels = [grey(PQ[nits], "PQ") for nits in (50, 100, 203, 1000, 10000)]
    assert levels == sorted(levels)
    assert levels[2:] == [229, 255, 255]
    assert levels[1] < srgb(100 / 203)


def test_hlg_is_the_light_of_a_screen_of_1000_nit() -> None:
    assert grey(0.0, "HLG") == 0
    assert abs(grey(0.75, "HLG") - grey(PQ[203], "PQ")) <= 1
    assert grey(1.0, "HLG") == 255


def test_hues_stay_within_the_primaries_of_bt709() -> None:
    """A red of BT.709 at 50 nit, as BT.2020 writes it."""
    light = np.array([0.6274, 0.0691, 0.0164]) * 50
    power = (light / 10000) ** (2610 / 16384)
    codes = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    pixels = shown(np.rint(65535 * codes).astype(np.uint16)[None, None], "PQ")
    assert np.abs(pixels[0, 0] - np.array([srgb(50 / 203), 0, 0])).max() <= 8
