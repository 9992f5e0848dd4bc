"""A tokenizer's latent statistics over a gallery, with one batch of images in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from chiasm.errors import UserError
from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.cached.gallery import Gallery, decoded


def measure_gallery(
    gallery: Gallery,
    tokenizer: Tokenizer,
    *,
    most: int,
    device: torch.device,
    data: str,
    progress: Callable[[str, int, int], None] = lambda stage, done, of: None,
    unreadable: Callable[[UserError], None] = lambda error: None,
) -> LatentStatistics:
    """Measures mean and deviation of each channel over images of at most ``most`` numbers.

    The numbers are spread evenly over the gallery; images that cannot be decoded are left out.

    Args:
        data: names the images, for the record.
        unreadable: callback for each image that is left out.

    Raises:
        UserError: no image, or images that are all alike.
    """
    count = min(len(gallery), most)
    numbers = [number * len(gallery) // count for number in range(count)]

    def batches() -> Iterator[Tensor]:
        images = ((n, image) for n, at in enumerate(numbers, 1) for image in gallery.images(at))
        for together in decoded(images, tokenizer.image_shape):
            whole = []
            for _, picture in together:
                if isinstance(picture, UserError):
                    unreadable(picture)
                else:
                    whole.append(picture)
            if whole:
                yield torch.stack(whole).to(device)
            progress("measuring", together[-1][0], len(numbers))
        progress("measuring", len(numbers), len(numbers))

    return tokenizer.to(device).measure(batches(), data=data)
