"""A perceptual distance without learned weights: structure and texture in a steerable pyramid.

PSNR prefers a blurred mean to any picture that has detail in another place. This distance has the
form of DISTS (Ding et al. 2020, arXiv 2004.07728), which compares the local means of features
(texture) and their correlation (structure),

    d(x, y) = 1 - mean of [ 3 (2 m_x m_y + C) / (m_x² + m_y² + C)
                          + (2 s_xy + C) / (s_x² + s_y² + C) ] / 4,

over the features of a fixed front end of vision instead of a trained network: the magnitudes of a
complex steerable pyramid (Simoncelli and Freeman 1995; Portilla and Simoncelli 2000), which say how
much detail of a size and a direction there is, and hardly change when it moves a little (as in
CW-SSIM, Sampat et al. 2009). What is coarser than the pyramid is compared as it is, in colours.

Texture counts three times as much as structure: with less, the mean of views that a camera takes as
it turns is nearer to the one in the middle than those at the sides are.

Shape suffixes: N pictures, H and W height and width, B bands of one scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

ORIENTATIONS = 4
_LEAST_PIXELS = 8
"""A coarser scale would have fewer pixels on a side."""
_WINDOW, _DEVIATION = 7, 1.5
"""In samples of a band."""
_C = 1e-5
"""Of the square of the range: what no eye tells apart counts as equal."""
_TEXTURE = 0.75
"""Share of texture in the likeness; the rest is structure."""
_LUMA = (0.299, 0.587, 0.114)
_AT_ONCE = 64


class Appearance:
    """Pictures as bands, to be compared with others of the same number and size.

    Args:
        pictures_NHW3: uint8.
    """

    def __init__(self, pictures_NHW3: np.ndarray) -> None:
        pictures = torch.from_numpy(np.ascontiguousarray(pictures_NHW3))
        parts = [_bands(part.permute(0, 3, 1, 2) / 255) for part in pictures.split(_AT_ONCE)]
        self._scales = [torch.cat(scale) for scale in zip(*parts, strict=True)]

    def distance(self, other: Appearance) -> np.ndarray:
        """Returns the perceptual distance of each pair, from 0, equal, to about 1: float64 [N]."""
        pairs = zip(self._scales, other._scales, strict=True)
        alike = torch.stack([_likeness(own, theirs) for own, theirs in pairs])
        return (1 - alike.mean(0)).double().numpy()


def local_mean(
    height: int, width: int, window: int, dtype: torch.dtype
) -> Callable[[Tensor], Tensor]:
    """Returns a function of planes [..., height, width]: their means under a Gaussian of deviation
    1.5 pixels, as far as its window lies inside, the largest odd one that fits up to ``window``.
    """
    size = min(window, height - 1 + height % 2, width - 1 + width % 2)
    away = torch.arange(size, dtype=dtype) - size // 2
    weights = torch.exp(-(away**2) / (2 * _DEVIATION**2))
    weights /= weights.sum()

    def windows(length: int) -> Tensor:  # as rows of a matrix: products are faster than conv2d
        rows = [functional.pad(weights, (n, length - size - n)) for n in range(length - size + 1)]
        return torch.stack(rows)

    down, across = windows(height), windows(width).T
    return lambda values: down @ (values @ across)


def _likeness(x_NBHW: Tensor, y_NBHW: Tensor) -> Tensor:
    """Returns the likeness of the bands of one scale, of texture and structure: [N]."""
    x, y, (height, width) = x_NBHW, y_NBHW, x_NBHW.shape[-2:]
    mean = local_mean(height, width, _WINDOW, x.dtype)
    m_x, m_y = mean(x), mean(y)
    s_x, s_y, s_xy = mean(x * x) - m_x**2, mean(y * y) - m_y**2, mean(x * y) - m_x * m_y
    texture = (2 * m_x * m_y + _C) / (m_x**2 + m_y**2 + _C)
    structure = (2 * s_xy + _C) / (s_x + s_y + _C)
    return (_TEXTURE * texture + (1 - _TEXTURE) * structure).mean((1, 2, 3))


def _bands(pictures_N3HW: Tensor) -> list[Tensor]:
    """Returns the magnitudes of each scale, finest first, and what is coarser: [N, B, H, W]."""
    height, width = pictures_N3HW.shape[-2:]
    # Mirrored margins: the transform is periodic, and would see edges where its ends meet.
    above, left = height // 4, width // 4
    padded = functional.pad(pictures_N3HW, (left, left, above, above), mode="reflect")
    *oriented, coarsest = _filters(*padded.shape[-2:], _num_scales(height, width))
    spectrum_N3HW = torch.fft.fft2(padded)
    luma_N1HW = (spectrum_N3HW * torch.tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)

    def seen(filtered: Tensor, scale: int) -> Tensor:
        """Returns the band without margins; what is coarser has fewer samples."""
        every = 2**scale
        return filtered[..., above : above + height : every, left : left + width : every]

    scales = [
        seen(torch.fft.ifft2(luma_N1HW * filters_BHW).abs(), scale)
        for scale, filters_BHW in enumerate(oriented)
    ]
    return [*scales, seen(torch.fft.ifft2(spectrum_N3HW * coarsest).real, len(oriented))]


def _num_scales(height: int, width: int) -> int:
    """Returns the number of scales, of which what is coarser has at least 8 pixels on a side."""
    return max(1, int(math.log2(min(height, width) / _LEAST_PIXELS)))


@lru_cache(maxsize=4)
def _filters(height: int, width: int, num_scales: int) -> list[Tensor]:
    """Returns the pyramid's filters, each of one octave and four directions, finest first, as
    factors of a spectrum [B, H, W]; then that of what is coarser.

    The finest reach to the corners of the spectrum. Filters are on one side of it alone, so that
    what they pass is complex, and its magnitude the envelope of an oscillation.
    """
    down = 2 * torch.pi * torch.fft.fftfreq(height)[:, None]
    across = 2 * torch.pi * torch.fft.fftfreq(width)
    radius, angle = torch.hypot(down, across), torch.atan2(down, across)
    order = ORIENTATIONS - 1
    scale = 2**order * math.factorial(order) / math.sqrt(ORIENTATIONS * math.factorial(2 * order))
    turns = torch.arange(ORIENTATIONS)[:, None, None] * torch.pi / ORIENTATIONS
    directions = 2 * scale * torch.cos(angle - turns).clamp_min(0) ** order
    found, left = [], torch.ones(height, width)
    for number in range(num_scales):
        low = _low_pass(radius * 2**number)
        found.append(left * torch.sqrt(1 - low**2) * directions)
        left = left * low
    return [*found, left]


def _low_pass(radius: Tensor) -> Tensor:
    """Returns a raised cosine: 1 up to a quarter of the highest frequency, 0 from a half on."""
    octaves = torch.log2(4 * radius.clamp_min(1e-9) / torch.pi).clamp(0, 1)
    return torch.cos(octaves * torch.pi / 2)
