"""Linear probes: what a frozen representation encodes of an image.

A probe is a ridge regression from an image's features to one-hot classes, W = (XᵀX + λI)⁻¹XᵀY on
standardized features, and predicts the class of the largest output. λ is chosen on training maps
that the candidate fit did not see. Probes are trained on real frames with the world's ground truth;
a probe's own accuracy on held-out real frames bounds how far its reading of a drawn image can be
trusted.

Shape suffixes: N items, F features, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RIDGES = (1e-3, 1e-2, 1e-1, 1.0)
"""Candidate λ, as shares of the features' mean squared norm over the training items."""

VALIDATION_SHARE = 4
"""One training map in this many is used to choose λ."""


@dataclass(frozen=True)
class Probe:
    """A linear classifier of one attribute, for example the material of the wall."""

    classes: np.ndarray
    """Sorted labels, str [K]."""
    mean: np.ndarray
    scale: np.ndarray
    weight_FK: np.ndarray
    bias_K: np.ndarray

    @classmethod
    def fit(
        cls, features_NF: np.ndarray, labels: Sequence[str], clusters: Sequence[object] | np.ndarray
    ) -> Probe:
        """Returns a probe fitted to N items; whole ``clusters`` (maps) are set aside to choose λ.

        Raises:
            ValueError: with fewer than two classes, which leave nothing to read.
        """
        classes, number = np.unique(np.asarray(labels), return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"a probe needs two classes, found {classes.tolist()}")
        mean, scale = features_NF.mean(0), features_NF.std(0) + 1e-6
        x_NF = ((features_NF - mean) / scale).astype(np.float32)
        y_NK = np.eye(len(classes), dtype=np.float32)[number]
        _, group = np.unique(np.asarray(clusters), return_inverse=True)
        ridge = _choose_ridge(x_NF, y_NK, number, group % VALIDATION_SHARE == 0)
        bias_K = y_NK.mean(0)
        weight_FK = _solve(x_NF, y_NK - bias_K, (ridge,))[0]
        return cls(classes, mean, scale, weight_FK, bias_K)

    def predict(self, features_NF: np.ndarray) -> np.ndarray:
        """Returns the class of each item: str [N]."""
        x_NF = ((features_NF - self.mean) / self.scale).astype(np.float32)
        return self.classes[(x_NF @ self.weight_FK + self.bias_K).argmax(1)]


def _choose_ridge(
    x_NF: np.ndarray, y_NK: np.ndarray, number: np.ndarray, aside: np.ndarray
) -> float:
    if aside.all() or not aside.any():
        return RIDGES[len(RIDGES) // 2]
    bias_K = y_NK[~aside].mean(0)
    candidates = _solve(x_NF[~aside], y_NK[~aside] - bias_K, RIDGES)
    right = [
        float(((x_NF[aside] @ w_FK + bias_K).argmax(1) == number[aside]).mean())
        for w_FK in candidates
    ]
    return RIDGES[int(np.argmax(right))]


def _solve(x_NF: np.ndarray, y_NK: np.ndarray, ridges: Sequence[float]) -> list[np.ndarray]:
    """Returns ridge solutions [F, K], one for each λ, from one Gram matrix.

    With fewer items than features the equal form Xᵀ(XXᵀ + λI)⁻¹Y has the smaller matrix.
    """
    count, width = x_NF.shape
    wide = count < width
    gram = x_NF @ x_NF.T if wide else x_NF.T @ x_NF
    right = y_NK if wide else x_NF.T @ y_NK
    eye = np.eye(len(gram), dtype=np.float32) * np.float32(count)
    solved = [np.linalg.solve(gram + ridge * eye, right) for ridge in ridges]
    return [x_NF.T @ each for each in solved] if wide else solved
