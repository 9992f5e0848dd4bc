"""One picture of a document → uint8 [3, H, W] of one size."""

from __future__ import annotations

import torch
from torch import Tensor

from chiasm.documents import Image
from chiasm.rgb import ImageShape, fitted


def decode_picture(image: Image, shape: ImageShape) -> Tensor:
    """Returns a picture decoded, centre-cropped to the shape's aspect ratio, and resized.

    uint8 [3, H, W]; a picture that already has the size is unchanged.

    Raises:
        UserError: it cannot be decoded.
    """
    pixels = fitted(image.data, shape.height_pixels, shape.width_pixels)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())
