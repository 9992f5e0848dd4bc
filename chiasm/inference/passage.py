"""Passages: consecutive positions of one document, before they have a place in a row.

Everything that the sampler feeds to the decoder is a passage: a prompt, one token, an image. They
obey the rules of :mod:`chiasm.data.batch`: text sees what came before and itself, an image's
tokens see what came before and their whole image.

Shape suffixes: T positions of a passage, L latent tokens of all its images (each of P), C latent
channels, 2 = (row, column).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chiasm.data.batch import ImageShape, Modality
from chiasm.data.encoding import DocumentEncoder
from chiasm.data.pictures import decode_picture
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Image, Text
from chiasm.vision.tokenizer import VisionTokenizer, as_floats


@dataclass(frozen=True)
class Passage:
    """T positions that follow one another in one document."""

    ids_T: Tensor
    """int64: token numbers; the image token's number at vision positions."""
    modality_T: Tensor
    """int64: a :class:`~chiasm.data.batch.Modality`."""
    last_T: Tensor
    """int64: the last key that each query sees, counted from the passage's first position."""
    latent_offset_L: Tensor
    """int64: where in the passage each latent token lies."""
    yx_L2: Tensor
    """int64: row and column of each latent token inside its image."""

    def __len__(self) -> int:
        return len(self.ids_T)


def passage(ids: Sequence[int] | np.ndarray, image_id: int, shape: ImageShape) -> Passage:
    """The passage of some token numbers; every run of image tokens is whole images."""
    ids_T = torch.as_tensor(np.asarray(ids, dtype=np.int64))
    vision_T = ids_T == image_id
    latent_offset_L = vision_T.nonzero().squeeze(1)
    number_L = torch.arange(len(latent_offset_L))
    inside_L = number_L % shape.num_tokens
    last_T = torch.arange(len(ids_T))
    last_T[latent_offset_L] = latent_offset_L[number_L - inside_L + shape.num_tokens - 1]
    return Passage(
        ids_T,
        torch.where(vision_T, int(Modality.VISION), int(Modality.TEXT)),
        last_T,
        latent_offset_L,
        torch.stack((inside_L // shape.columns, inside_L % shape.columns), dim=1),
    )


def prompt_ids(
    spans: tuple[Text | Image, ...], tokenizer: TextTokenizer, shape: ImageShape
) -> np.ndarray:
    """int64 [T]: ``<bod>`` and the spans, laid out as training lays out a document's beginning."""
    encode = DocumentEncoder(tokenizer, shape.num_tokens, row_positions=sys.maxsize)
    return encode(Document(spans))[0].ids[:-1]  # all but <eod>: the document goes on


def prompt_latents(
    spans: tuple[Text | Image, ...], tokenizer: VisionTokenizer, device: torch.device
) -> Tensor:
    """Standardised latents [L, C] of the spans' pictures, one picture after another.

    Raises:
        UserError: a picture cannot be decoded.
    """
    pictures = [
        decode_picture(span, tokenizer.image_shape) for span in spans if isinstance(span, Image)
    ]
    if not pictures:
        return torch.zeros(0, tokenizer.channels, device=device)
    return tokenizer.encode(as_floats(torch.stack(pictures).to(device))).flatten(0, 1)
