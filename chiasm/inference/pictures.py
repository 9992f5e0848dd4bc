"""Features of images in the frozen tokenizer, and distances between them.

Shape suffixes: N images, H and W their height and width, P latent tokens of one image, C latent
channels, F = P·C features of one image.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from chiasm.data.pictures import decode_picture
from chiasm.documents import Image
from chiasm.inference.pretrained import Pretrained
from chiasm.rgb import ImageShape
from chiasm.tokenizers.tokenizer import Tokenizer

PICTURES_AT_ONCE = 256


def fitted(image: Image, shape: ImageShape) -> np.ndarray:
    """Returns an image cropped and resized to the tokenizer's size: uint8 [H, W, 3]."""
    return decode_picture(image, shape).permute(1, 2, 0).contiguous().numpy()


@torch.inference_mode()
def features(
    pretrained: Pretrained, pictures_NHW3: np.ndarray, reference_encoder: Tokenizer | None = None
) -> np.ndarray:
    """Returns standardized latents of uint8 images, flattened: float32 [N, F].

    They are those of the model's own tokenizer, or of ``reference_encoder`` at the size that it
    takes.
    """
    vision = pretrained.vision_tokenizer
    if reference_encoder is not None:
        vision = reference_encoder.to(pretrained.device)
        shown = (Image(pixels, target=False) for pixels in pictures_NHW3)
        pictures_NHW3 = np.stack([fitted(image, reference_encoder.image_shape) for image in shown])
    parts = _encoded(vision, pictures_NHW3, pretrained.device)
    return torch.cat([part_NPC.flatten(1).cpu() for part_NPC in parts]).numpy()


@torch.inference_mode()
def through_tokenizer(pretrained: Pretrained, pictures_NHW3: np.ndarray) -> np.ndarray:
    """Returns images encoded and decoded again, with the detail of latents: uint8 [N, H, W, 3]."""
    vision = pretrained.vision_tokenizer
    parts = _encoded(vision, pictures_NHW3, pretrained.device)
    decoded_N3HW = torch.cat([vision.decode(part_NPC) for part_NPC in parts])
    decoded_N3HW = decoded_N3HW.mul(255).round().to(torch.uint8).cpu()
    return decoded_N3HW.permute(0, 2, 3, 1).contiguous().numpy()


def feature_distance(features_NF: np.ndarray, truth_NF: np.ndarray) -> np.ndarray:
    """Returns the root mean square difference of each image's standardized latents: float64 [N]."""
    return np.sqrt(((features_NF - truth_NF).astype(np.float64) ** 2).mean(1))


def _encoded(
    vision: Tokenizer, pictures_NHW3: np.ndarray, device: torch.device
) -> Iterator[Tensor]:
    for begin in range(0, len(pictures_NHW3), PICTURES_AT_ONCE):
        part = np.ascontiguousarray(pictures_NHW3[begin : begin + PICTURES_AT_ONCE])
        yield vision.encode(torch.from_numpy(part).permute(0, 3, 1, 2).to(device))
