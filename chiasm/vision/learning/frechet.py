"""The Fréchet distance of two sets of images in the features of a network that the user supplies.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium"
(arXiv 1706.08500). The network is a TorchScript file: the Inception of the published figures exists
as one (``inception-2015-12-05.pt`` of StyleGAN2-ADA, also used by EDM and clean-fid), made from the
original graph with its own resizing, so that no copy of its architecture is needed here.

Shape suffixes: B images, H and W height and width in pixels, F features, N images in all.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from chiasm.errors import UserError, first_line


class FeatureNetwork:
    """A TorchScript module: uint8 images [B, 3, H, W] to features [B, F].

    A module whose ``forward`` has the argument ``return_features`` is called with it set.
    """

    def __init__(self, path: Path, device: torch.device | str = "cpu") -> None:
        """Reads the file.

        Raises:
            UserError: it is missing, or no TorchScript file.
        """
        try:
            self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the file has no newer form
                self._module = torch.jit.load(path, map_location=device).eval()
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(
                f"--inception {path} cannot be read as a TorchScript module: "
                f"{first_line(error)}; give inception-2015-12-05.pt of "
                "StyleGAN2-ADA (a file of weights alone, such as pytorch-fid's, will not do), or "
                "any module that torch.jit.save wrote"
            ) from error
        self._path = path
        self._device = device
        arguments = {argument.name for argument in self._module.forward.schema.arguments}
        self._options = {"return_features": True} if "return_features" in arguments else {}

    @torch.no_grad()
    def __call__(self, images_B3HW: Tensor) -> Tensor:
        """Returns the features [B, F] of images in [0, 1].

        Raises:
            UserError: the module fails on them, or returns no features.
        """
        pixels = images_B3HW.mul(255).round().clamp(0, 255).byte().to(self._device)
        try:
            features = self._module(pixels, **self._options)
        except RuntimeError as error:
            raise UserError(
                f"--inception {self._path} fails on uint8 pictures of shape "
                f"{tuple(pixels.shape)}: {str(error).strip().splitlines()[-1]}"
            ) from error
        if not isinstance(features, Tensor) or features.ndim != 2:
            raise UserError(
                f"--inception {self._path} gives no matrix [pictures, features]; give a module "
                "that does"
            )
        return features.cpu()


def frechet_distance(true_NF: Tensor, drawn_NF: Tensor) -> float:
    """Returns |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of means m and covariances S, in float64.

    tr (S1 S2)^(1/2) is the sum of the square roots of the eigenvalues of S1^(1/2) S2 S1^(1/2),
    which is symmetric: no matrix square root of a general matrix, and no imaginary part.
    """
    (mean_F, cov_FF), (other_mean_F, other_cov_FF) = _moments(true_NF), _moments(drawn_NF)
    values_F, vectors_FF = np.linalg.eigh(cov_FF)
    root_FF = (vectors_FF * np.sqrt(values_F.clip(min=0))) @ vectors_FF.T
    between_F = np.linalg.eigvalsh(root_FF @ other_cov_FF @ root_FF)
    shared = np.sqrt(between_F.clip(min=0)).sum()
    away = ((mean_F - other_mean_F) ** 2).sum()
    return float(away + np.trace(cov_FF) + np.trace(other_cov_FF) - 2 * shared)


def _moments(features_NF: Tensor) -> tuple[np.ndarray, np.ndarray]:
    values = features_NF.double().numpy()
    return values.mean(axis=0), np.atleast_2d(np.cov(values, rowvar=False))
