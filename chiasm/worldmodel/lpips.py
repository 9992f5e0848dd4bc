"""LPIPS with AlexNet's features, from weights that the user has.

Zhang et al. 2018 (arXiv 1801.03924), version 0.1: features of five layers, each of unit length at
every place, their squared differences weighted by channel and averaged over places,

    d(x, y) = sum_l mean_hw sum_c w_lc (x̂_lhwc - ŷ_lhwc)².

The weights are read from two files: AlexNet as torchvision publishes it, and the five layers'
channel weights as the authors publish them. No package of theirs is needed.

Shape suffixes: N pictures, C channels, H and W height and width.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from chiasm.errors import UserError, setting
from chiasm.vision.tokenizer import as_floats
from chiasm.worldmodel.settings import PlannerSettings

ALEXNET = "alexnet-owt-7be5be79.pth"
CHANNEL_WEIGHTS = "alex.pth"
ORIGINS = {
    ALEXNET: "torchvision's AlexNet",
    CHANNEL_WEIGHTS: "lpips/weights/v0.1 of its authors",
}
_LAYERS = ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))
"""Number in torchvision's state, stride and padding of each convolution."""
_POOLED_BEFORE = (1, 2)
_MEAN = (-0.030, -0.088, -0.188)
_DEVIATION = (0.458, 0.448, 0.450)
LEAST_PIXELS = 31
"""A smaller side does not survive the network's strides."""


class Lpips:
    """Perceptual distance of images.

    Args:
        folder: with ``alexnet-owt-7be5be79.pth`` and ``alex.pth``.
        device: where it is computed.

    Raises:
        UserError: a file is missing, unreadable or not what its name says.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        network, channels = _read(folder / ALEXNET), _read(folder / CHANNEL_WEIGHTS)
        try:
            self._layers = [
                (
                    network[f"features.{n}.weight"].to(device),
                    network[f"features.{n}.bias"].to(device),
                )
                for n, _, _ in _LAYERS
            ]
            self._weights = [channels[f"lin{n}.model.1.weight"].to(device) for n in range(5)]
        except KeyError as error:
            files = f"{ALEXNET} of torchvision and {CHANNEL_WEIGHTS} of LPIPS 0.1"
            raise _refused(f"{error} is missing in {folder}", f"the files are {files}") from error
        self._device = device

    @torch.inference_mode()
    def __call__(self, pictures_NHW3: np.ndarray, goal_HW3: np.ndarray) -> np.ndarray:
        """Returns distance of each uint8 picture to the goal: float64 [N].

        Raises:
            UserError: pictures are too small for the network.
        """
        if min(goal_HW3.shape[:2]) < LEAST_PIXELS:
            have = f"these have {goal_HW3.shape[1]} x {goal_HW3.shape[0]}"
            why = f"needs pictures of {LEAST_PIXELS} pixels or more, and {have}"
            raise UserError(why, setting="cost", value="lpips", remedy="plan by features")
        ours, goals = self._features(pictures_NHW3), self._features(goal_HW3[None])
        distance_N = sum(
            functional.conv2d((own - goal) ** 2, weight).mean((1, 2, 3))
            for own, goal, weight in zip(ours, goals, self._weights, strict=True)
        )
        assert isinstance(distance_N, Tensor)
        return distance_N.double().cpu().numpy()

    def _features(self, pictures_NHW3: np.ndarray) -> list[Tensor]:
        pixels_N3HW = torch.from_numpy(np.ascontiguousarray(pictures_NHW3)).permute(0, 3, 1, 2)
        mean, deviation = (
            torch.tensor(values, device=self._device)[:, None, None]
            for values in (_MEAN, _DEVIATION)
        )
        x_NCHW = (2 * as_floats(pixels_N3HW.to(self._device)) - 1 - mean) / deviation
        found = []
        for number, ((weight, bias), (_, stride, padding)) in enumerate(
            zip(self._layers, _LAYERS, strict=True)
        ):
            if number in _POOLED_BEFORE:
                x_NCHW = functional.max_pool2d(x_NCHW, 3, 2)
            x_NCHW = functional.conv2d(x_NCHW, weight, bias, stride, padding).relu()
            length_N1HW = x_NCHW.square().sum(1, keepdim=True).sqrt()
            found.append(x_NCHW / (length_N1HW + 1e-10))
        return found


def refuse_missing_weights(settings: PlannerSettings) -> None:
    """Checks that the weights of LPIPS are there, before anything expensive runs.

    Raises:
        UserError: plans cost by LPIPS, and one is.
    """
    if settings.cost == "lpips":
        assert settings.lpips_weights is not None  # the settings refuse it
        for name, origin in ORIGINS.items():
            _refuse_missing(settings.lpips_weights.expanduser() / name, origin)


def _refuse_missing(path: Path, origin: str) -> None:
    if not path.is_file():
        remedy = f'copy it from {origin}, or plan with {setting("cost")} = "features"'
        raise _refused(f"{path} is missing", remedy)


def _read(path: Path) -> dict[str, Tensor]:
    origin = ORIGINS[path.name]
    _refuse_missing(path, origin)
    try:
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        why = f"{path} cannot be read ({str(error)[:80]})"
        raise _refused(why, f"copy it again from {origin}") from error
    return state


def _refused(why: str, remedy: str) -> UserError:
    return UserError(f": {why}", setting="lpips_weights", remedy=remedy)
