"""Two tokenizers as one: one reads the pictures that are only seen, the other those to be drawn.

A semantic encoder understands better and a variational autoencoder draws better; BAGEL (arXiv
2505.14683) gives a model both. Here a picture is read once, by the tokenizer of the part that it
plays in its document: context pictures by ``context``, targets by ``target``, whatever their flow
time. So frames of a video stay latents of ``target`` when they are finished (t = 1), in training
and in sampling alike.

Shape suffixes: B pictures, H and W their height and width in pixels, P latent tokens of one
picture, C channels of targets.
"""

from __future__ import annotations

import hashlib

from torch import Tensor

from chiasm.batch.packed import PairedShape
from chiasm.vision.statistics import LatentStatistics
from chiasm.vision.tokenizer import VisionTokenizer


class DualTokenizer(VisionTokenizer):
    """The tokenizer of targets, with another one beside it for context pictures.

    Whatever it is asked for without a part (size, channels, encode, decode, statistics) is that of
    the targets: the pictures that are drawn. Picture sizes, grids and channels of the two may
    differ.
    """

    def __init__(self, target: VisionTokenizer, context: VisionTokenizer) -> None:
        super().__init__(target.image_shape, target.statistics)
        self.name = f"dual (context: {context.name}, target: {target.name})"
        self.preprocessing = target.preprocessing
        self.target = target
        self._context = context

    @property
    def decodes(self) -> bool:
        """As the tokenizer of targets."""
        return self.target.decodes

    @property
    def context(self) -> VisionTokenizer:
        """The tokenizer of context pictures."""
        return self._context

    @property
    def statistics(self) -> LatentStatistics:
        """Those of the targets; the context tokenizer keeps its own."""
        return self.target.statistics

    @statistics.setter
    def statistics(self, statistics: LatentStatistics) -> None:
        self.target.statistics = statistics

    @property
    def shapes(self) -> PairedShape:
        """Sizes and grids of both parts."""
        return PairedShape(target=self.target.image_shape, context=self.context.image_shape)

    @property
    def parts(self) -> tuple[VisionTokenizer, ...]:
        """Targets' first."""
        return (self.target, self.context)

    def encode_raw(self, images_B3HW: Tensor) -> Tensor:
        """As the tokenizer of targets: [B, P, C]."""
        return self.target.encode_raw(images_B3HW)

    def decode_raw(self, raw_BPC: Tensor) -> Tensor:
        """As the tokenizer of targets."""
        return self.target.decode_raw(raw_BPC)

    @property
    def fingerprint(self) -> str:
        """Hash of both tokenizers' fingerprints."""
        both = f"target {self.target.fingerprint} context {self.context.fingerprint}"
        return hashlib.sha256(both.encode()).hexdigest()
