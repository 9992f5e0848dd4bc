"""Models of one aspect ratio: width, depth, heads and learning rate as functions of a size.

Width over depth and the width of a head stay those of the recipe, as nearly as whole heads and
whole blocks allow, so that size is the only thing that varies. Below a width of about 100 they do
not allow it: models of one, two and three blocks are no family of one aspect. There all models may
have one depth, and width alone grows. The learning rate falls as (width / recipe's width)^-0.75,
through the recipe's own pair: between the published fits (GPT-3's table falls as width^-0.83, arXiv
2005.14165; DeepSeek's law C^-1/8 with N ∝ width³ and C ∝ N² is width^-0.75, arXiv 2401.02954; the
theory for one matrix gives width^-1, arXiv 2203.03466). Warm-up is the recipe's, and at most a
tenth of the run; the decay ends with the run.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.studies.step import Step

RATE_EXPONENT = 0.75
"""The learning rate is proportional to the width to minus this."""

WARMUP_SHARE = 0.1
"""Largest share of a run that is warm-up."""

ASPECT_WITHIN = 1.7
"""Factor by which width over depth may miss the recipe's, which few blocks cannot meet exactly."""

ASPECT_WEIGHT = 0.3
"""Weight of a miss of the aspect relative to a miss of the size, both as logarithms."""

NEIGHBOURS = 4
"""Number of widths on each side that are tried."""

WIDEST = 16_384


@dataclass(frozen=True)
class Shape:
    """One model of the ladder, counted by its own modules."""

    settings: ModelSettings
    active_parameters: int
    total_parameters: int
    step_flops: float
    """FLOPs of one step of the recipe's stream, forward and backward."""

    @property
    def overrides(self) -> dict[str, int]:
        """Settings that make this model, by dotted name."""
        names = ("width", "depth", "query_heads", "key_value_heads")
        return {f"model.{name}": getattr(self.settings, name) for name in names}

    @property
    def name(self) -> str:
        """Name of the shape, such as w192-d5."""
        return f"w{self.settings.width}-d{self.settings.depth}"


def count_shape(settings: ModelSettings, step: Step) -> Shape:
    """Returns the counts of a model, built on the meta device without memory for its weights."""
    with torch.device("meta"):
        decoder = Decoder(
            settings,
            vocabulary=step.vocabulary,
            streams=step.streams,
        )
    count = decoder.count_parameters()
    flops = decoder.training_flops(step.work)
    return Shape(settings, count.active, count.total, flops * step.share(1))


class Ladder:
    """All shapes of a family, counted when asked for.

    Args:
        model: the recipe's model, whose width over depth and whose heads the family has.
        step: content of a training step.
        depth: blocks of every model instead, so that width alone grows.
    """

    def __init__(self, model: ModelSettings, step: Step, depth: int | None = None) -> None:
        self.model, self.step, self.depth = model, step, depth
        self._counted: dict[tuple[int, int], Shape] = {}

    def nearest(self, active_parameters: float, taken: Sequence[Shape]) -> Shape | None:
        """Returns the free shape nearest in size, preferring the recipe's aspect among
        near ones.
        """
        # At the recipe's aspect, parameters grow with the width: bisection finds the range.
        middle = bisect_left(
            self._widths,
            active_parameters,
            key=lambda width: self._active_parameters(width, self._depths(width)[0]),
        )
        used = {(shape.settings.width, shape.settings.depth) for shape in taken}
        near = self._widths[max(middle - NEIGHBOURS, 0) : middle + NEIGHBOURS]
        free = [
            (self._miss(width, depth, active_parameters), width, depth)
            for width in near
            for depth in self._depths(width)
            if (width, depth) not in used
        ]
        if not free:
            return None
        _, width, depth = min(free)
        return self.shape(width, depth)

    def shape(self, width: int, depth: int) -> Shape:
        """Returns the model of a width and a depth."""
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
            self._counted[width, depth] = count_shape(settings, self.step)
        return self._counted[width, depth]

    def _miss(self, width: int, depth: int, wanted: float) -> float:
        size = abs(math.log(self._active_parameters(width, depth) / wanted))
        if self.depth is not None:
            return size
        return size + ASPECT_WEIGHT * abs(math.log(width / depth / self._aspect))

    def _active_parameters(self, width: int, depth: int) -> int:
        """Returns the active parameters at any depth, by extrapolation from depths 1 and 2."""
        # Blocks are alike, so that two counts determine a line.
        one, two = (self.shape(width, number).active_parameters for number in (1, 2))
        return one + (depth - 1) * (two - one)

    def _depths(self, width: int) -> list[int]:
        """Returns the depth of the recipe's aspect first, then neighbours that are near enough."""
        if self.depth is not None:
            return [self.depth]
        best = max(round(width / self._aspect), 1)
        others = (
            depth
            for depth in (best - 1, best + 1)
            if depth > 0 and abs(math.log(width / depth / self._aspect)) <= math.log(ASPECT_WITHIN)
        )
        return [best, *others]

    @property
    def _aspect(self) -> float:
        return self.model.width / self.model.depth

    @property
    def _widths(self) -> range:
        """Widths of whole key-value heads."""
        unit = self.model.K * self.model.query_heads // self.model.key_value_heads
        return range(unit, WIDEST + 1, unit)


def refuse_fixed_shape(model: ModelSettings) -> None:
    """Refuses a recipe that fixes what should follow from the width.

    Raises:
        UserError: the feed-forward width or the head width is set.
    """
    for name in ("feedforward_width", "head_width"):
        if getattr(model, name) is not None:
            raise model.error(
                name,
                "is fixed by the recipe, so it would not grow with the model",
                "leave it out to let it follow from the width",
            ).under("model")


def learning_rate(
    recipe_rate: float, recipe_width: int, width: int, exponent: float = RATE_EXPONENT
) -> float:
    """Returns the recipe's rate at another width; see the module's docstring."""
    return recipe_rate * (width / recipe_width) ** -exponent
