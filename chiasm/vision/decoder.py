"""Decoders of standardized features that are trained here, by kind.

Shape suffixes: B images, H and W height and width in pixels, P latent tokens, C channels.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from chiasm.rgb import ImageShape
from chiasm.tokenizers.statistics import LatentStatistics, statistics_of
from chiasm.vision.settings import DECODERS, DecoderSettings
from chiasm.vision.tokenizer import PictureDecoder


class FeatureDecoder(PictureDecoder, kind="decoder"):
    """Maps standardized features [B, P, C] to images [B, 3, H, W], not clamped.

    The statistics standardize features in training and ever after.
    """

    def __init__(
        self, settings: DecoderSettings, shape: ImageShape, statistics: LatentStatistics
    ) -> None:
        super().__init__()
        self.settings = settings
        self.shape = shape
        self.grid = (shape.rows, shape.columns)
        self.statistics = statistics

    @property
    @abstractmethod
    def last_weight(self) -> Tensor:
        """Weight of the last layer, which every pixel passes."""

    def draw(self, raw_BPC: Tensor) -> Tensor:
        """Returns images from features that are not standardized."""
        return self(self.statistics.standardize(raw_BPC))

    def describe(self) -> dict[str, Any]:
        """Returns settings, shape and statistics."""
        return {
            "settings": self.settings.model_dump(mode="json"),
            "shape": asdict(self.shape),
            "statistics": asdict(self.statistics),
        }

    @classmethod
    def open(cls, described: Mapping[str, Any]) -> Any:
        """Returns a decoder of these settings, untrained."""
        kind = DECODERS.of(described["settings"]["kind"])
        settings, shape = kind(**described["settings"]), ImageShape(**described["shape"])
        with torch.device("meta"):
            decoder = settings.build(shape, statistics_of(described["statistics"]))
        return decoder.to_empty(device="cpu")
