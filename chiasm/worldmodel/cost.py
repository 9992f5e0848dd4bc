"""How far the last imagined view is from the goal picture.

Shape suffixes: N candidates, H and W height and width in pixels.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from chiasm.inference.pictures import feature_distance, features
from chiasm.inference.pretrained import Pretrained


class Cost(Protocol):
    """Distance of pictures to a goal of their size."""

    def __call__(self, pictures_NHW3: np.ndarray, goal_HW3: np.ndarray) -> np.ndarray:
        """Of each uint8 picture, the less the nearer: float64 [N]."""


class FeatureCost:
    """Root mean square difference of the frozen vision encoder's standardized latents."""

    def __init__(self, pretrained: Pretrained) -> None:
        self._pretrained = pretrained

    def __call__(self, pictures_NHW3: np.ndarray, goal_HW3: np.ndarray) -> np.ndarray:
        """Of each picture: float64 [N]."""
        every = features(self._pretrained, np.concatenate([pictures_NHW3, goal_HW3[None]]))
        return feature_distance(every[:-1], every[-1:])
