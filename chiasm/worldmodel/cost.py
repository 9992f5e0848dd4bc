"""Distance of the last imagined view to the goal image.

Shape suffixes: N candidates, H and W height and width in pixels.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from chiasm.inference.pictures import feature_distance, features
from chiasm.inference.pretrained import Pretrained


class Cost(Protocol):
    """Distance of images to a goal image of the same size."""

    def __call__(self, pictures_NHW3: np.ndarray, goal_HW3: np.ndarray) -> np.ndarray:
        """Returns the distance of each uint8 image to the goal, lower is nearer: float64 [N]."""


class FeatureCost:
    """Root mean square difference of the frozen vision encoder's standardized latents."""

    def __init__(self, pretrained: Pretrained) -> None:
        self._pretrained = pretrained

    def __call__(self, pictures_NHW3: np.ndarray, goal_HW3: np.ndarray) -> np.ndarray:
        """Returns the distance of each uint8 image to the goal: float64 [N]."""
        every = features(self._pretrained, np.concatenate([pictures_NHW3, goal_HW3[None]]))
        return feature_distance(every[:-1], every[-1:])
