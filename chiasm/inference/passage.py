"""Passages: consecutive positions of one document, before they have a place in a row.

Everything that the sampler feeds to the decoder is a passage: a prompt, one token, an image. They
obey the rules of :mod:`chiasm.batch.packed`: text sees what came before and itself, an image's
tokens see what came before and their whole image.

Shape suffixes: T positions of a passage, N its images, L latent tokens of them all, C latent
channels, 2 = (row, column).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import torch
from torch import Tensor

from chiasm.batch.latents import ImageLatents
from chiasm.batch.packed import AnyShape, Modality
from chiasm.data.encoding import DocumentEncoder
from chiasm.data.pictures import decode_picture
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Image, Text
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.tokenizer import encode_pictures


@dataclass(frozen=True)
class Passage:
    """T positions that follow one another in one document."""

    ids_T: Tensor
    """int64: token numbers; the image token's number at vision positions."""
    modality_T: Tensor
    """int64: a :class:`~chiasm.batch.packed.Modality`."""
    last_T: Tensor
    """int64: the last key that each query sees, counted from the passage's first position."""
    latent_offset_L: Tensor
    """int64: where in the passage each latent token lies."""
    yx_L2: Tensor
    """int64: row and column of each latent token inside its image."""
    target_L: Tensor
    """bool: whether each latent token belongs to a target image."""

    def __len__(self) -> int:
        return len(self.ids_T)


def passage(
    ids: Sequence[int] | np.ndarray,
    image_id: int,
    shape: AnyShape,
    targets: Sequence[bool] = (),
) -> Passage:
    """The passage of some token numbers; every run of image tokens is whole images.

    ``targets`` says of each image whether it is a target; without it, all are.
    """
    ids_T = torch.as_tensor(np.asarray(ids, dtype=np.int64))
    vision_T = ids_T == image_id
    latent_offset_L = vision_T.nonzero().squeeze(1)
    count = len(latent_offset_L) // shape.of(True).num_tokens
    shapes = [shape.of(target) for target in targets or [True] * count]
    tokens_N = torch.tensor([each.num_tokens for each in shapes], dtype=torch.int64)
    columns_N = torch.tensor([each.columns for each in shapes], dtype=torch.int64)
    image_L = torch.repeat_interleave(torch.arange(len(shapes)), tokens_N)
    begin_L = (tokens_N.cumsum(0) - tokens_N)[image_L]
    inside_L, columns_L = torch.arange(len(image_L)) - begin_L, columns_N[image_L]
    last_T = torch.arange(len(ids_T))
    last_T[latent_offset_L] = latent_offset_L[begin_L + tokens_N[image_L] - 1]
    return Passage(
        ids_T,
        torch.where(vision_T, int(Modality.VISION), int(Modality.TEXT)),
        last_T,
        latent_offset_L,
        torch.stack((inside_L // columns_L, inside_L % columns_L), dim=1),
        torch.tensor(targets or [True] * count, dtype=torch.bool)[image_L],
    )


def prompt_ids(
    spans: tuple[Text | Image, ...], tokenizer: TextTokenizer, shape: AnyShape
) -> np.ndarray:
    """int64 [T]: ``<bod>`` and the spans, laid out as training lays out a document's beginning."""
    encode = DocumentEncoder(tokenizer, shape, row_positions=sys.maxsize)
    return encode(Document(spans))[0].ids[:-1]  # all but <eod>: the document goes on


def prompt_targets(spans: tuple[Text | Image, ...]) -> list[bool]:
    """Of each image of a prompt, whether it is a target in its document."""
    return [span.target for span in spans if isinstance(span, Image)]


def prompt_latents(
    spans: tuple[Text | Image, ...], tokenizer: Tokenizer, device: torch.device
) -> ImageLatents:
    """All standardised latents of the spans' pictures, one picture after another.

    Raises:
        UserError: a picture cannot be decoded.
    """
    images = [span for span in spans if isinstance(span, Image)]
    pictures = [decode_picture(image, tokenizer.shapes) for image in images]
    if tokenizer.context is None:
        return ImageLatents(encode_pictures(tokenizer, pictures, device))
    targets = prompt_targets(spans)
    num_tokens = [tokenizer.shapes.of(target).num_tokens for target in targets]
    tokens_N = torch.tensor(num_tokens, dtype=torch.int64)
    target_L = torch.tensor(targets, dtype=torch.bool).repeat_interleave(tokens_N).to(device)
    z_LC = torch.zeros(len(target_L), tokenizer.channels, device=device)
    z_LC[target_L] = encode_pictures(tokenizer, list(compress(pictures, targets)), device)
    seen = [picture for picture, target in zip(pictures, targets, strict=True) if not target]
    return ImageLatents(z_LC, encode_pictures(tokenizer.context, seen, device))
