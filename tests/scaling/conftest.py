"""Tables of points that known laws make, with known noise, on any grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from chiasm.scaling.points import Point


@dataclass(frozen=True)
class Truth:
    """E + A/N^α + B/D^β with D = C / (6N)."""

    floor: float
    a: float
    b: float
    alpha: float
    beta: float

    @property
    def size_exponent(self) -> float:
        return self.beta / (self.alpha + self.beta)

    def loss(self, size: float, tokens: float) -> float:
        return self.floor + self.a * size**-self.alpha + self.b * tokens**-self.beta

    def optimum(self, budget: float) -> float:
        scale = (self.alpha * self.a / (self.beta * self.b)) ** (1 / (self.alpha + self.beta))
        return scale * (budget / 6) ** self.size_exponent


def law_about(alpha: float, beta: float, floor: float, excess: float) -> Truth:
    """Of 1e7 parameters at 1e18 FLOPs the best, with a loss there of ``floor`` + ``excess``."""
    tokens = 1e18 / 6 / 1e7
    of_size, of_tokens = (excess * other / (alpha + beta) for other in (beta, alpha))
    return Truth(floor, of_size * 1e7**alpha, of_tokens * tokens**beta, alpha, beta)


TEXT = Truth(1.7, 406.0, 410.0, 0.34, 0.28)
VISION = Truth(0.4, 60.0, 30.0, 0.38, 0.24)
BUDGETS = (1e17, 3e17, 1e18, 3e18)


def make_points(
    *,
    noise: float = 0.002,
    seed: int = 0,
    seeds: int = 2,
    sizes: int = 5,
    half_span: float = 4.0,
    shift: float = 1.0,
    drift: float = 0.0,
    budgets: Sequence[float] = BUDGETS,
    truths: dict[str, Truth] | None = None,
) -> list[Point]:
    """Sizes from centre / half_span to centre · half_span; centre is the optima's mean, times
    ``shift`` and (budget / 1e17) ** drift."""
    truths = truths or {"text": TEXT, "vision": VISION}
    random = np.random.default_rng(seed)
    points = []
    for budget in budgets:
        optima = np.log([truth.optimum(budget) for truth in truths.values()])
        centre = shift * (budget / 1e17) ** drift * np.exp(optima.mean())
        for number, factor in enumerate(np.geomspace(1 / half_span, half_span, sizes)):
            size = float(centre * factor)
            tokens = budget / 6 / size
            for repetition in range(seeds):
                draws = np.exp(noise * random.standard_normal(len(truths)))
                losses = {
                    name: float(truth.loss(size, tokens) * draw)
                    for (name, truth), draw in zip(truths.items(), draws, strict=True)
                }
                cell = f"{budget:.0e}-{number}"
                points.append(
                    Point(cell, budget, size, tokens, losses, budget_flops=budget, seed=repetition)
                )
    return points


@pytest.fixture(scope="session")
def table() -> Callable[..., list[Point]]:
    return make_points


@pytest.fixture(scope="session")
def known_law() -> Callable[[float, float, float, float], Truth]:
    return law_about


@pytest.fixture(scope="session")
def text_law() -> Truth:
    return TEXT


@pytest.fixture(scope="session")
def vision_law() -> Truth:
    return VISION
