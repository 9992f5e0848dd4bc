"""Models of one aspect: how width, depth, heads and learning rate follow from a size.

Width over depth and the width of a head stay those of the recipe, as nearly as whole heads and
whole blocks allow, so that size is the only thing that varies. The learning rate falls as
(width / recipe's width)^-0.75, through the recipe's own pair: between the published fits
(GPT-3's table falls as width^-0.83, arXiv 2005.14165; DeepSeek's law C^-1/8 with N ∝ width³ and
C ∝ N² is width^-0.75, arXiv 2401.02954; the theory for one matrix gives width^-1, arXiv
2203.03466). Warm-up is the recipe's, and at most a tenth of the run; the decay ends with the run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from chiasm.errors import UserError
from chiasm.model import Decoder, ModelSettings, Work
from chiasm.model.work import FORWARD_AND_BACKWARD

RATE_EXPONENT = 0.75
"""Learning rate ∝ width to minus this."""

WARMUP_SHARE = 0.1
"""Of a run, at most."""

ASPECT_WITHIN = 1.7
"""Factor by which width over depth may miss the recipe's, which few blocks cannot meet exactly."""

WIDEST = 16_384


@dataclass(frozen=True)
class Shape:
    """One model of the ladder, counted by its own modules."""

    settings: ModelSettings
    active_parameters: int
    total_parameters: int
    step_flops: float
    """Forward and backward of one step of the recipe's stream."""

    @property
    def overrides(self) -> dict[str, int]:
        """The settings that make it, by dotted name."""
        names = ("width", "depth", "query_heads", "key_value_heads")
        return {f"model.{name}": getattr(self.settings, name) for name in names}

    @property
    def name(self) -> str:
        """Such as w192-d5."""
        return f"w{self.settings.width}-d{self.settings.depth}"


@dataclass(frozen=True)
class Step:
    """What one training step of a recipe reads, on average, and the model's two vocabularies."""

    work: Work
    """Summed over ``batches`` batches."""
    batches: int
    batches_per_step: int
    vocabulary: int
    latent_channels: int
    text_tokens: float
    """Positions of one step that hold text."""
    vision_tokens: float
    """Positions of one step that hold latent tokens."""

    @property
    def tokens(self) -> float:
        """Positions of one step."""
        return self.text_tokens + self.vision_tokens


class Ladder:
    """All shapes of a recipe's aspect, counted when asked for."""

    def __init__(self, model: ModelSettings, step: Step) -> None:
        self.model, self.step = model, step
        self._counted: dict[tuple[int, int], Shape] = {}

    def nearest(self, active_parameters: float, taken: Sequence[Shape]) -> Shape | None:
        """The free shape nearest in size, the recipe's aspect deciding between near ones."""
        free = [
            (width, depth)
            for width, depth in self._grid
            if all((width, depth) != (s.settings.width, s.settings.depth) for s in taken)
            # Blocks hold most of a model: 4 to 30 times depth · width² brackets every size.
            and depth * width**2 < active_parameters
        ]
        sized = sorted(free, key=lambda pair: pair[1] * pair[0] ** 2)
        best, least = None, math.inf
        for width, depth in sized[-60:] or self._grid[:1]:
            shape = self.shape(width, depth)
            if shape in taken:
                continue
            miss = abs(math.log(shape.active_parameters / active_parameters))
            miss += 0.3 * abs(math.log(width / depth / self._aspect))
            if miss < least:
                best, least = shape, miss
        return best

    def shape(self, width: int, depth: int) -> Shape:
        """Build the model without memory for its weights, and let its modules count."""
        if (width, depth) not in self._counted:
            heads = width // self.model.K
            settings = self.model.model_copy(
                update={
                    "width": width,
                    "depth": depth,
                    "query_heads": heads,
                    "key_value_heads": heads * self.model.key_value_heads // self.model.query_heads,
                }
            )
            with torch.device("meta"):
                decoder = Decoder(
                    settings,
                    vocabulary=self.step.vocabulary,
                    latent_channels=self.step.latent_channels,
                )
            count = decoder.count_parameters()
            forward = decoder.forward_flops(self.step.work) / self.step.batches
            flops = FORWARD_AND_BACKWARD * forward * self.step.batches_per_step
            self._counted[width, depth] = Shape(settings, count.active, count.total, flops)
        return self._counted[width, depth]

    @property
    def _aspect(self) -> float:
        return self.model.width / self.model.depth

    @cached_property
    def _grid(self) -> list[tuple[int, int]]:
        share = self.model.query_heads // self.model.key_value_heads
        unit = self.model.K * share
        return [
            (width, depth)
            for width in range(unit, WIDEST + 1, unit)
            for depth in range(1, math.ceil(ASPECT_WITHIN * width / self._aspect) + 1)
            if abs(math.log(width / depth / self._aspect)) <= math.log(ASPECT_WITHIN)
        ]


def refuse_fixed_shape(model: ModelSettings) -> None:
    """A recipe that fixes what should follow from the width cannot be scaled.

    Raises:
        UserError: the feed-forward width or the head width is set.
    """
    for name in ("feedforward_width", "head_width"):
        if getattr(model, name) is not None:
            raise UserError(
                f"model.{name} = {getattr(model, name)} is fixed by the recipe, so it would not "
                "grow with the model; leave it out to let it follow from the width"
            )


def learning_rate(recipe_rate: float, recipe_width: int, width: int) -> float:
    """The recipe's rate carried to another width; see the top of this file."""
    return recipe_rate * (width / recipe_width) ** -RATE_EXPONENT
