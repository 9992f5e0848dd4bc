"""A tokenizer's latent statistics over a gallery, one batch of pictures in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import torch
from torch import Tensor

from chiasm.errors import UserError
from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.cached.gallery import Gallery, decoded

PICTURES_AT_ONCE = 64
"""Pictures that the encoder sees together."""


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
    """Mean and deviation of each channel over the pictures of at most ``most`` numbers.

    The numbers are spread evenly over the gallery; pictures that cannot be decoded are left out.

    Args:
        data: names the pictures, for the record.
        unreadable: is told of each picture that is left out.

    Raises:
        UserError: no picture, or pictures that are all alike.
    """
    return tokenizer.to(device).measure(
        _batches(gallery, tokenizer, most, device, progress, unreadable), data=data
    )


def _batches(
    gallery: Gallery,
    tokenizer: Tokenizer,
    most: int,
    device: torch.device,
    progress: Callable[[str, int, int], None],
    unreadable: Callable[[UserError], None],
) -> Iterator[Tensor]:
    count = min(len(gallery), most)
    numbers = [number * len(gallery) // count for number in range(count)]
    images = (
        (done, image)
        for done, number in enumerate(numbers, start=1)
        for image in gallery.images(number)
    )
    pictures = decoded(images, tokenizer.image_shape)
    while together := list(islice(pictures, PICTURES_AT_ONCE)):
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
