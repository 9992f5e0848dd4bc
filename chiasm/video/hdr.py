"""High dynamic range → what an ordinary screen shows: one frame's codes as uint8 sRGB.

PQ and HLG (ITU-R BT.2100) say how much light a screen gives, HLG on one of 1000 nit. That light is
taken relative to diffuse white, 203 nit (BT.2408). Tones up to about 90 nit stay what they are,
brighter ones are rolled off by the curve of BT.2390, so that 1000 nit and more become white and
diffuse white 229 of 255. The curve goes by the largest of red, green and blue, so that hues stay up
to the peak. Colors outside of BT.709's primaries are clipped.
"""

from __future__ import annotations

from functools import cache

import numpy as np

_WHITE, _PEAK = 203.0, 1000.0
"""Nits of diffuse white, and of the brightest tone that is told apart."""
_STEPS = 8192

_M1, _M2, _C1, _C2, _C3 = 1305 / 8192, 2523 / 32, 107 / 128, 2413 / 128, 2392 / 128
"""Constants of PQ."""
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
"""Constants of HLG."""

_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)
_2020_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)

TRANSFERS = {16: "PQ", 18: "HLG"}
"""By their number in ITU-T H.273."""


def shown(codes: np.ndarray, transfer: str) -> np.ndarray:
    """Returns uint8 [H, W, 3] of codes, uint16 [H, W, 3] with BT.2020's primaries, full range."""
    # Colors one by one and tables in place of powers: a frame of HD takes a tenth of the time.
    codes = codes >> 4
    table = _pq_light() if transfer == "PQ" else _hlg_scene()
    rgb = [table.take(codes[..., color]) for color in range(3)]
    factor = 1.0
    if transfer == "HLG":
        luma = sum(part * color for part, color in zip(_LUMA_2020, rgb, strict=True))
        factor = _PEAK * luma ** np.float32(0.2)
    most = np.maximum(np.maximum(rgb[0], rgb[1]), rgb[2]) * factor
    factor *= _roll_off().take((most * (_STEPS / _PEAK)).astype(np.int32), mode="clip")
    rgb = [color * factor for color in rgb]
    pixels = np.empty(codes.shape, np.uint8)
    for number, row in enumerate(_2020_TO_709):
        light = rgb[0] * row[0] + rgb[1] * row[1] + rgb[2] * row[2]
        pixels[..., number] = _srgb().take((light * (65535 / _WHITE)).astype(np.int32), mode="clip")
    return pixels


@cache
def _pq_light() -> np.ndarray:
    """Nits by the upper 12 bits of a code."""
    return _pq_to_nits(np.arange(4096) / 4095).clip(0, _PEAK).astype(np.float32)


@cache
def _hlg_scene() -> np.ndarray:
    """Light of the scene in [0, 1] by the upper 12 bits of a code."""
    code = np.arange(4096) / 4095
    bright = (np.exp((code - _C) / _A) + _B) / 12
    return np.where(code <= 0.5, code**2 / 3, bright).astype(np.float32)


@cache
def _roll_off() -> np.ndarray:
    """The factor by which light is dimmed, by nits in steps up to the peak: BT.2390's curve."""
    nits = np.arange(_STEPS + 1) * (_PEAK / _STEPS)
    peak, white = _nits_to_pq(np.array([_PEAK, _WHITE]))
    least, end = 1.5 * white / peak - 0.5, white / peak
    code = _nits_to_pq(nits) / peak
    t = ((code - least) / (1 - least)).clip(0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * least + (t**3 - 2 * t**2 + t) * (1 - least)
    spline += (3 * t**2 - 2 * t**3) * end
    dimmed = _pq_to_nits(np.where(code < least, code, spline) * peak)
    return np.append(dimmed[1:2] / nits[1], dimmed[1:] / nits[1:]).astype(np.float32)


@cache
def _srgb() -> np.ndarray:
    """uint8 by light in 65536 steps up to white."""
    light = np.arange(65536) / 65535
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * curve).astype(np.uint8)


def _pq_to_nits(code: np.ndarray) -> np.ndarray:
    power = code ** (1 / _M2)
    return 10000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)


def _nits_to_pq(nits: np.ndarray) -> np.ndarray:
    power = (nits / 10000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
