"""A trained model and its data: the argument of every measure."""

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
    """A trained model, both splits of its data, and the settings of a measure.

    Shape suffixes: N images, H and W their height and width, F features of one image.
    """

    pretrained: Pretrained
    material: Material
    settings: Own
    on_stage: Stage = silent
    """Callback for the progress of slow work."""

    @property
    def log(self) -> ReadingLog:
        """Log that counts the held-out items that cannot be used."""
        return self.material.log

    @cached_property
    def sampler(self) -> Sampler:
        """Sampler of the model."""
        return Sampler(self.pretrained)

    @property
    def image_shape(self) -> ImageShape:
        """Shape of the images that the model draws."""
        return self.pretrained.vision_tokenizer.image_shape

    def pick(self, source: str, count: int) -> Items:
        """Returns held-out documents of a source (:func:`chiasm.evaluation.material.pick`)."""
        return pick(self.material.held_out[source], count, self.log)

    def fitted(self, image: Image) -> np.ndarray:
        """Returns an image at the model's size: uint8 [H, W, 3]."""
        return pictures.fitted(image, self.image_shape)

    def features(
        self, pictures_NHW3: np.ndarray, reference_encoder: Tokenizer | None = None
    ) -> np.ndarray:
        """Returns standardized latents, the model's or the reference encoder's: float32 [N, F]."""
        return pictures.features(self.pretrained, pictures_NHW3, reference_encoder)

    def through_tokenizer(self, pictures_NHW3: np.ndarray) -> np.ndarray:
        """Returns uint8 images encoded and decoded again: uint8 [N, H, W, 3]."""
        return pictures.through_tokenizer(self.pretrained, pictures_NHW3)

    def measurement(
        self,
        section: str,
        unit: str,
        better: Better,
        clusters: Sequence[object] | np.ndarray,
        weights: np.ndarray | None = None,
    ) -> Measurement:
        """Returns a :class:`~.rows.Measurement`, which makes rows of per-item numbers."""
        return Measurement(section, unit, better, self.settings.seed, clusters, weights)
