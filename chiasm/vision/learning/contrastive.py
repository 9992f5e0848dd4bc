"""Stage 1: losses that make an encoder's features worth modelling, with captions.

The terms, each on features with a little noise, so that nothing depends on their last digits:

- ``contrast``: the sigmoid loss of SigLIP (Zhai et al., arXiv 2303.15343) between image and
  caption, every pair of the step a binary question;
- ``words``: which words the caption uses, as the best answer over the cells, so that a cell learns
  to represent what it shows without supervision of the position;
- ``facts`` and ``objects``: where the source has ground truth, the value of each attribute from the
  mean over cells, and which objects each cell shows;
- ``pixels``: linear regression of each cell's pixels from its own features, so that layout and
  colour stay in them and a decoder starts near its goal;
- ``redundancy``: squared correlation between channels, so that no two are alike.

Shape suffixes: B images of a step on this rank, S on all ranks, M images of the data, H and W
height and width in pixels, T words of a caption, V words of the vocabulary, P cells, C latent
channels, K kinds of objects, E embedding, A attributes (facts).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.roles import Role
from chiasm.vision.encoder import RaeEncoder
from chiasm.vision.learning.draw import Draw
from chiasm.vision.learning.features import PixelRegression, add_noise, redundancy
from chiasm.vision.learning.fit import Losses, Stage
from chiasm.vision.learning.pictures import Pictures, covered_cells
from chiasm.vision.learning.settings import ContrastiveSettings
from chiasm.vision.learning.words import TextTower, Vocabulary

EMBEDDING = 128
"""E: width of the text tower, and of the space in which pictures and captions meet."""
CONTRAST_WEIGHT = 0.5
"""Of ``contrast``, beside ``words`` and ``facts``, which weigh 1 and say more of each picture."""
OBJECTS_WEIGHT = 4.0
"""Of ``objects``: few of a cell's answers are yes, so that their losses are small."""
NO_VALUE = -1
"""Marks a fact that an image does not have."""


class Targets:
    """Targets of stage 1 for each image, as tensors; absent extras have zero columns."""

    def __init__(self, pictures: Pictures, side: int) -> None:
        captions = pictures.captions
        self.vocabulary = Vocabulary(caption for of_one in captions for caption in of_one)
        self.words = [np.stack([*map(self.vocabulary.encode, of_one)]) for of_one in captions]
        self.fact_values = pictures.fact_values()
        self.facts_MA = np.full((len(pictures), len(self.fact_values)), NO_VALUE, dtype=np.int64)
        for row, of_one in enumerate(pictures.facts or ()):
            for column, (name, values) in enumerate(self.fact_values.items()):
                if name in of_one:
                    self.facts_MA[row, column] = values.index(of_one[name])
        self.object_names = sorted({b.name for boxes in pictures.boxes or () for b in boxes})
        self.objects_MPK = np.zeros((len(pictures), side**2, len(self.object_names)), np.float16)
        for row, boxes in enumerate(pictures.boxes or ()):
            self.objects_MPK[row] = covered_cells(boxes, self.object_names, side)


class ContrastiveStage(Stage):
    """The encoder with its auxiliary heads; only the encoder survives the stage."""

    roles: ClassVar = {"scale": Role.GAIN, "bias": Role.GAIN}

    def __init__(
        self, encoder: RaeEncoder, settings: ContrastiveSettings, pictures: Pictures
    ) -> None:
        super().__init__()
        self.settings = settings
        self.pictures = pictures
        cells, channels = encoder.image_shape.num_tokens, encoder.channels
        self.targets = Targets(pictures, encoder.image_shape.rows)
        self.encoder = encoder
        self.text = TextTower(len(self.targets.vocabulary), EMBEDDING)
        self.to_embedding = nn.Linear(cells * channels, EMBEDDING)
        self.scale = nn.Parameter(torch.tensor(10.0).log())
        self.bias = nn.Parameter(torch.tensor(-10.0))
        self.to_facts = nn.ModuleList(
            nn.Linear(channels, len(values)) for values in self.targets.fact_values.values()
        )
        # A source may use each word once, or have no boxes: then there is no such head.
        answers = {
            "words": len(self.targets.vocabulary.words),
            "objects": len(self.targets.object_names),
        }
        self.by_cell = nn.ModuleDict(
            {name: nn.Linear(channels, count) for name, count in answers.items() if count}
        )
        self.pixels = PixelRegression(channels, pictures.pixel_variance())

    def losses(self, draw: Draw) -> Losses:
        """Returns the weighted terms of one step, by name."""
        settings, targets = self.settings, self.targets
        numbers_B = draw.numbers[draw.own]
        images_B3HW = self.pictures.batch(numbers_B, self.device)
        features_BPC = self.encoder(images_B3HW)
        noised_BPC = add_noise(features_BPC, settings.noise, draw)
        words_ST = torch.from_numpy(
            np.stack(
                [targets.words[n][draw.rng.integers(len(targets.words[n]))] for n in draw.numbers]
            )
        ).to(self.device)
        terms = {
            "contrast": CONTRAST_WEIGHT * self._contrast(noised_BPC, words_ST, draw),
            "pixels": settings.pixels_weight * self.pixels(noised_BPC, images_B3HW),
            "redundancy": settings.redundancy_weight * redundancy(draw.gathered(features_BPC)),
        }
        if "words" in self.by_cell:
            best_BV = self.by_cell["words"](noised_BPC).logsumexp(dim=1)
            terms["words"] = binary_sum(best_BV, targets.vocabulary.present(words_ST[draw.own])) / 4
        if "objects" in self.by_cell:
            covered_BPK = torch.from_numpy(targets.objects_MPK[numbers_B]).to(self.device)
            logits_BPK = self.by_cell["objects"](noised_BPC)
            terms["objects"] = OBJECTS_WEIGHT * binary_sum(logits_BPK, covered_BPK.float())
        if targets.fact_values:
            facts_SA = torch.from_numpy(targets.facts_MA[draw.numbers]).to(self.device)
            terms["facts"] = self._facts(draw.gathered(noised_BPC.mean(dim=1)), facts_SA)
        return Losses(terms)

    def _contrast(self, features_BPC: Tensor, words_ST: Tensor, draw: Draw) -> Tensor:
        pictures_BE = functional.normalize(self.to_embedding(features_BPC.flatten(1)), dim=1)
        captions_BE = functional.normalize(self.text(words_ST[draw.own]), dim=1)
        # Two pictures of one scene may share a caption; calling such a pair wrong would be false.
        _, caption_S = torch.unique(words_ST, dim=0, return_inverse=True)
        same_SS = caption_S[:, None] == caption_S[None, :]
        pictures_SE, captions_SE = draw.gathered(pictures_BE), draw.gathered(captions_BE)
        return sigmoid_contrast(pictures_SE, captions_SE, same_SS, self.scale, self.bias)

    def _facts(self, mean_SC: Tensor, facts_SA: Tensor) -> Tensor:
        known = [
            functional.cross_entropy(
                head(mean_SC), column_S, ignore_index=NO_VALUE, reduction="sum"
            )
            / (column_S != NO_VALUE).sum().clamp(min=1)
            for head, column_S in zip(self.to_facts, facts_SA.unbind(1), strict=True)
        ]
        return torch.stack(known).sum()


def sigmoid_contrast(
    pictures_SE: Tensor, captions_SE: Tensor, same_SS: Tensor, scale: Tensor, bias: Tensor
) -> Tensor:
    """Returns SigLIP's loss: -sum over pairs of log sigmoid(z (exp(scale) x·y + bias)), per image.

    z is +1 where ``same_SS`` (at least the diagonal) marks a matching pair, else -1.
    """
    logits_SS = pictures_SE @ captions_SE.T * scale.exp() + bias
    sign_SS = same_SS.to(logits_SS.dtype) * 2 - 1
    return -functional.logsigmoid(sign_SS * logits_SS).sum() / len(logits_SS)


def binary_sum(logits: Tensor, targets: Tensor) -> Tensor:
    """Returns binary cross-entropy, summed over the last dimension, averaged over the others."""
    elements = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return elements.sum(dim=-1).mean()
