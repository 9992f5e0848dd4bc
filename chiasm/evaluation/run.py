"""A trained model on its data: what every measure is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np

from chiasm.data.preparation import Stage, silent
from chiasm.data.reading import ReadingLog
from chiasm.documents import Image
from chiasm.evaluation.material import Items, Material, pick
from chiasm.evaluation.rows import Measurement
from chiasm.evaluation.shared import MeasureSettings
from chiasm.inference import pictures
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.sampler import Sampler
from chiasm.intervals import Better
from chiasm.rgb import ImageShape
from chiasm.tokenizers.tokenizer import Tokenizer

Own = TypeVar("Own", bound=MeasureSettings, covariant=True)


@dataclass(frozen=True)
class Run(Generic[Own]):
    """A trained model, both sides of its data, and how much is measured.

    Shape suffixes: N pictures, H and W their height and width, F features of one picture.
    """

    pretrained: Pretrained
    material: Material
    settings: Own
    on_stage: Stage = silent
    """Is told how far slow work is."""

    @property
    def log(self) -> ReadingLog:
        """Counts the held-out items that cannot be used."""
        return self.material.log

    @cached_property
    def sampler(self) -> Sampler:
        """Writes and draws with the model."""
        return Sampler(self.pretrained)

    @property
    def image_shape(self) -> ImageShape:
        """Of the pictures that the model draws."""
        return self.pretrained.vision_tokenizer.image_shape

    def pick(self, source: str, count: int) -> Items:
        """Returns held-out documents of a source (:func:`chiasm.evaluation.material.pick`)."""
        return pick(self.material.held_out[source], count, self.log)

    def fitted(self, image: Image) -> np.ndarray:
        """Returns a picture at the model's size: uint8 [H, W, 3]."""
        return pictures.fitted(image, self.image_shape)

    def features(
        self, pictures_NHW3: np.ndarray, reference_encoder: Tokenizer | None = None
    ) -> np.ndarray:
        """Returns latents [N, F], standardized, of a reference encoder or the model's own."""
        return pictures.features(self.pretrained, pictures_NHW3, reference_encoder)

    def through_tokenizer(self, pictures_NHW3: np.ndarray) -> np.ndarray:
        """Returns what encoding and decoding leave of uint8 pictures: uint8 [N, H, W, 3]."""
        return pictures.through_tokenizer(self.pretrained, pictures_NHW3)

    def measurement(
        self,
        section: str,
        unit: str,
        better: Better,
        clusters: Sequence[object] | np.ndarray,
        weights: np.ndarray | None = None,
    ) -> Measurement:
        """Returns what makes rows of per-item numbers (:class:`~.rows.Measurement`)."""
        return Measurement(section, unit, better, self.settings.seed, clusters, weights)
