"""A tokenizer whose weights are published elsewhere: what a run keeps of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from chiasm.data.pictures import ImageShape
from chiasm.settings import Settings
from chiasm.vision.statistics import LatentStatistics
from chiasm.vision.tokenizer import VisionTokenizer


class Published(Settings):
    """Where the weights are and how they are used: a reference, in place of gigabytes."""

    kind: Literal["rae", "vae"]
    path: str
    """A folder, or an id of the hub."""
    revision: str | None = None
    """Commit of the hub's repository."""
    layer: int | None = Field(default=None, ge=0)
    image_pixels: int | None = Field(default=None, ge=1)
    decoder: str | None = None
    """An AutoencoderRAE: a folder, or an id of the hub."""
    decoder_revision: str | None = None


class PublishedTokenizer(VisionTokenizer):
    """Frozen weights of other libraries: float32 on the CPU, ``cuda_dtype`` on CUDA.

    The statistics are a neutral guess until :meth:`measure` has seen the pictures of a run.
    """

    weights_sha256: str
    """Hash of the encoder's weights as they were published."""

    def __init__(
        self,
        published: Published,
        image_shape: ImageShape,
        channels: int,
        encoder: str,
        preprocessing: str,
        cuda_dtype: torch.dtype,
    ) -> None:
        """``encoder`` names the kind of encoder and the hash of its weights."""
        self.preprocessing = preprocessing
        super().__init__(
            image_shape, LatentStatistics.neutral(channels, 0.0, 1.0, encoder, preprocessing)
        )
        self.published = published
        self.name = f"{published.kind} {published.path}"
        self.cuda_dtype = cuda_dtype

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # What nn.Module.to calls, here or in a module around: the precision follows the device.
        super()._apply(fn, recurse)
        weights = next(self.parameters())
        dtype = self.cuda_dtype if weights.device.type == "cuda" else torch.float32
        if weights.dtype != dtype:
            super()._apply(lambda t: t.to(dtype) if t.is_floating_point() else t, recurse)
        return self

    @property
    def decoder_sha256(self) -> str:
        """Hash of the decoder's weights where they are not the encoder's; empty without."""
        return ""

    @property
    def fingerprint(self) -> str:
        """As of every tokenizer, by the hash of the weights as they were published."""
        described = f"{self.image_shape} {self.statistics} {self.decoder_sha256}"
        return hashlib.sha256(described.encode()).hexdigest()
