"""Statistics of the features of a LeRobot data set, as its ``stats.json`` has them.

Shape suffixes: T rows, F numbers of a feature, C channels, L levels of a channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LEVELS = 256
"""Values of a channel of a picture."""
_QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}


@dataclass
class SetStats:
    """What statistics are computed of: all numbers of vectors, and counts of a picture's levels."""

    camera: str
    vectors: dict[str, list[np.ndarray]] = field(default_factory=dict)
    levels_CL: np.ndarray = field(default_factory=lambda: np.zeros((3, LEVELS), np.int64))
    frames: int = 0

    def add(self, vectors: Mapping[str, np.ndarray], levels_CL: np.ndarray, frames: int) -> None:
        """Adds an episode."""
        for name, own in vectors.items():
            self.vectors.setdefault(name, []).append(own)
        self.levels_CL += levels_CL
        self.frames += frames

    def summary(self) -> dict[str, dict[str, Any]]:
        """Returns the statistics by feature."""
        vectors = {name: np.concatenate(own) for name, own in self.vectors.items()}
        return summary(vectors, self.camera, self.levels_CL, self.frames)


def summary(
    vectors: Mapping[str, np.ndarray], camera: str, levels_CL: np.ndarray, frames: int
) -> dict[str, dict[str, Any]]:
    """Returns the statistics by feature; those of pictures are in [0, 1]."""
    found = {name: _of_vectors(own) for name, own in vectors.items()}
    return found | {camera: _of_levels(levels_CL, frames)}


def _of_vectors(own_TF: np.ndarray) -> dict[str, Any]:
    own_TF = own_TF.astype(np.float64)
    found: dict[str, Any] = {
        "min": own_TF.min(0).tolist(),
        "max": own_TF.max(0).tolist(),
        "mean": own_TF.mean(0).tolist(),
        "std": own_TF.std(0).tolist(),
        "count": [len(own_TF)],
    }
    return found | {n: np.quantile(own_TF, q, axis=0).tolist() for n, q in _QUANTILES.items()}


def _of_levels(levels_CL: np.ndarray, frames: int) -> dict[str, Any]:
    """Returns the statistics of pictures by the counts of their levels, [C, 1, 1] each."""
    level_L = np.arange(LEVELS) / (LEVELS - 1)
    share_CL = levels_CL / levels_CL.sum(1, keepdims=True)
    mean_C = share_CL @ level_L
    std_C = np.sqrt(np.maximum(share_CL @ level_L**2 - mean_C**2, 0))
    below_CL = share_CL.cumsum(1)
    present = [np.flatnonzero(own) for own in levels_CL]
    found = {
        "min": level_L[[own[0] for own in present]],
        "max": level_L[[own[-1] for own in present]],
        "mean": mean_C,
        "std": std_C,
        **{
            name: level_L[[int(np.searchsorted(own, q).clip(0, 255)) for own in below_CL]]
            for name, q in _QUANTILES.items()
        },
    }
    shaped = {name: own.reshape(-1, 1, 1).tolist() for name, own in found.items()}
    return shaped | {"count": [frames]}
