"""Preprocessing of pixels for a published encoder, from its own processor configuration.

The JSON file is read directly: the processors themselves need torchvision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from chiasm.errors import UserError
from chiasm.vision.published.checkpoint import Checkpoint

FILES = ("preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True)
class Preprocessing:
    """Maps pixels in [0, 1] to ``(pixels * scale - mean) / deviation`` in each colour."""

    scale: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    image_pixels: int | None = None
    """Side of the square images that the processor would make, if it has one."""

    def normalize(self, images_B3HW: Tensor) -> Tensor:
        """Returns images [B, 3, H, W] in [0, 1] as the encoder takes them."""
        mean, deviation = self._moments(images_B3HW)
        return (images_B3HW * self.scale - mean) / deviation

    def restore(self, normalized_B3HW: Tensor) -> Tensor:
        """Returns images in [0, 1]: the inverse of :meth:`normalize`."""
        mean, deviation = self._moments(normalized_B3HW)
        return (normalized_B3HW * deviation + mean) / self.scale

    def _moments(self, like: Tensor) -> Tensor:
        return like.new_tensor((self.mean, self.deviation)).reshape(2, 3, 1, 1)

    def __str__(self) -> str:
        scale = "" if self.scale == 1 else f" times {self.scale:g}"
        mean, deviation = (
            ", ".join(f"{colour:g}" for colour in colours)
            for colours in (self.mean, self.deviation)
        )
        return f"RGB in [0, 1]{scale}, minus ({mean}), over ({deviation})"


TO_PLUS_MINUS_ONE = Preprocessing(1.0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Pixels in [-1, 1], as diffusers' autoencoders read and write them."""


def read_preprocessing(checkpoint: Checkpoint) -> Preprocessing:
    """Returns the preprocessing in the checkpoint's processor configuration.

    Raises:
        UserError: there is none, or it lacks what it should say.
    """
    name = next((name for name in FILES if checkpoint.has(name)), FILES[0])
    content = checkpoint.read_json(name)
    content = content.get("image_processor", content)
    try:
        rescaled, normalized = (content.get(do, True) for do in ("do_rescale", "do_normalize"))
        scale = 255 * content.get("rescale_factor", 1 / 255) if rescaled else 255.0
        found = Preprocessing(
            1.0 if abs(scale - 1) < 1e-6 else float(scale),  # 1/255 is written with 18 digits
            tuple(map(float, content["image_mean"])) if normalized else (0.0,) * 3,
            tuple(map(float, content["image_std"])) if normalized else (1.0,) * 3,
            _side(content),
        )
        if (len(found.mean), len(found.deviation)) != (3, 3) or not all(found.deviation):
            raise ValueError("image_mean and image_std are not of three colours")
        return found
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{checkpoint.folder / name} does not say how pictures are prepared "
            f"({type(error).__name__}: {error}); copy the model's own file there"
        ) from error


def _side(content: dict[str, Any]) -> int | None:
    if "max_num_patches" in content:  # NaFlex: as many patches as there may be, in a square
        return int(content["max_num_patches"] ** 0.5) * int(content["patch_size"])
    size = content.get("crop_size") if content.get("do_center_crop") else None
    size = size or content.get("size")
    if isinstance(size, dict):
        size = size.get("shortest_edge", size.get("height"))
    return int(size) if size else None
