"""Likeness of images to the truth, and the reference encoder that probes read images through.

Shape suffixes: N images, H and W their height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from chiasm.errors import UserError
from chiasm.intervals import Better

if TYPE_CHECKING:
    from torch import Tensor

    from chiasm.evaluation.perceptual import Appearance
    from chiasm.evaluation.run import Run
    from chiasm.evaluation.shared import WalkSettings
    from chiasm.tokenizers.tokenizer import Tokenizer

LIKENESS: dict[str, tuple[str, Better]] = {
    "PSNR": ("dB", "higher"),
    "SSIM": ("index", "higher"),
    "feature distance": ("latent RMS", "lower"),
    "perceptual distance": ("index", "lower"),
}
"""Measure of likeness → unit, and direction of better values."""

_OF_MEANS, _OF_SAMPLES = ("PSNR",), ("feature distance", "perceptual distance")

_SSIM_WINDOW = 11
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2


def open_reference_encoder(reference_encoder: str) -> Tokenizer | None:
    """Returns the reference encoder whose latents probes read; None for the model's tokenizer.

    Raises:
        UserError: there is no such tokenizer, it is damaged, or has no statistics.
    """
    if reference_encoder == "own":
        return None
    from chiasm.vision.kinds import RaeSettings

    named = {"setting": "evaluation.reference_encoder", "value": reference_encoder}
    try:
        opened = RaeSettings(path=reference_encoder).open()
    except UserError as error:
        why = error.why if error.setting else f": {error.why}"
        raise UserError(why, **named, remedy=error.remedy) from error
    if opened.statistics.count == 0:
        raise UserError(
            "has no latent statistics of its own",
            **named,
            remedy="name the shipped embedded-world, or a folder of chiasm vision train",
        )
    return opened


def headline_measures(settings: WalkSettings, steps: int) -> tuple[str, ...]:
    """Returns the measures that views in so many steps of the solver are headlines by: PSNR of the
    mean of what may be seen, the distances of samples, and all where there are only means.
    """
    if len(settings.imagining_both) == 1:
        return _OF_MEANS + _OF_SAMPLES
    return _OF_MEANS if steps == 1 else _OF_SAMPLES


def where(there_N: np.ndarray, likeness: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns each measure where ``there_N`` is true, and nan elsewhere."""
    return {name: np.where(there_N, values, np.nan) for name, values in likeness.items()}


def psnr(pictures_NHW3: np.ndarray, truth_NHW3: np.ndarray) -> np.ndarray:
    """Returns the peak signal-to-noise ratio of uint8 images in dB [N]; equal images get 100."""
    error_NHW3 = (pictures_NHW3.astype(np.float64) - truth_NHW3.astype(np.float64)) / 255
    return -10 * np.log10(np.maximum((error_NHW3**2).mean((1, 2, 3)), 1e-10))


def ssim(pictures_NHW3: np.ndarray, truth_NHW3: np.ndarray) -> np.ndarray:
    """Returns the structural similarity of each uint8 image: the mean over colours and places of

        (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x² + m_y² + C1) (s_x² + s_y² + C2))

    with means m and (co)variances s under a Gaussian window of 11 pixels and deviation 1.5, as far
    as it lies inside the image (Wang et al. 2004; C1 = 0.01², C2 = 0.03² for colours in [0, 1]).
    For smaller images the window is the largest odd one that fits.
    """
    import torch

    from chiasm.evaluation.perceptual import local_mean

    height, width = truth_NHW3.shape[1:3]
    mean = local_mean(height, width, _SSIM_WINDOW, torch.float64)

    def planes(pictures: np.ndarray) -> Tensor:
        return torch.from_numpy(pictures / 255).permute(0, 3, 1, 2).reshape(-1, height, width)

    x, y = planes(pictures_NHW3), planes(truth_NHW3)
    m_x, m_y = mean(x), mean(y)
    s_x, s_y, s_xy = mean(x * x) - m_x**2, mean(y * y) - m_y**2, mean(x * y) - m_x * m_y
    likeness = (2 * m_x * m_y + _SSIM_C1) * (2 * s_xy + _SSIM_C2)
    likeness /= (m_x**2 + m_y**2 + _SSIM_C1) * (s_x + s_y + _SSIM_C2)
    return likeness.reshape(len(truth_NHW3), -1).mean(1).numpy()


def detail(pictures_NHW3: np.ndarray) -> np.ndarray:
    """Returns how much neighbouring pixels of uint8 images differ: their root mean square
    difference, across and down, float64 [N]. Blur lowers it."""
    values_NHW3 = pictures_NHW3.astype(np.float64)
    across, down = (np.square(np.diff(values_NHW3, axis=axis)).mean((1, 2, 3)) for axis in (2, 1))
    return np.sqrt((across + down) / 2)


class Truth:
    """Images that others are compared with; what is computed of them is computed once."""

    def __init__(self, run: Run[Any], pictures_NHW3: np.ndarray) -> None:
        self.pictures = pictures_NHW3
        self.features = run.features(pictures_NHW3)
        self._run = run

    def likeness(
        self, pictures_NHW3: np.ndarray, names: Collection[str] = LIKENESS
    ) -> dict[str, np.ndarray]:
        """Returns these of :data:`LIKENESS` for each image: float64 [N]."""
        measures: dict[str, Callable[..., np.ndarray]] = {
            "PSNR": psnr,
            "SSIM": ssim,
            "feature distance": self._feature_distance,
            "perceptual distance": self._perceptual_distance,
        }
        return {name: measures[name](pictures_NHW3, self.pictures) for name in names}

    def _feature_distance(self, pictures_NHW3: np.ndarray, _: np.ndarray) -> np.ndarray:
        from chiasm.inference.pictures import feature_distance

        return feature_distance(self._run.features(pictures_NHW3), self.features)

    def _perceptual_distance(self, pictures_NHW3: np.ndarray, _: np.ndarray) -> np.ndarray:
        from chiasm.evaluation.perceptual import Appearance

        return Appearance(pictures_NHW3).distance(self._appearance)

    @cached_property
    def _appearance(self) -> Appearance:
        from chiasm.evaluation.perceptual import Appearance

        return Appearance(self.pictures)
