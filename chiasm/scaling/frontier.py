"""Optimal sizes and tokens as power laws of compute, and for approach 3 the law behind them.

A power law is ln y = level + exponent · ln(C / C0), by weighted least squares; C0 is the geometric
mean of the budgets, so that level and exponent are nearly independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chiasm.intervals import Estimate
from chiasm.scaling.law import Array, Cost, Laws

TITLES = {
    "parabola": "approach 2: parabolas",
    "huber": "approach 3: Huber, L-BFGS",
    "projection": "approach 3: variable projection",
    "optima": "published optima",
    "typed": "typed exponents",
}

CONSTANTS = ("E", "A", "B", "alpha", "beta")
"""Constants of loss = E + A/N^α + B/D^β."""


@dataclass(frozen=True)
class PowerLaw:
    """y = exp(level) · (C / c0)^exponent."""

    exponent: float
    exponent_se: float
    """Standard error, times the root of χ² per degree of freedom where that is above 1."""
    level: float
    """ln y at ``c0``."""
    c0: float

    def at(self, budget_flops: float) -> float:
        """Returns y at a budget."""
        return float(np.exp(self.level + self.exponent * np.log(budget_flops / self.c0)))


def fit_power_law(budgets_flops: Array, values: Array, variances: Array | None = None) -> PowerLaw:
    """Returns the power law fitted to values at budgets [n]; ``variances`` are of ln value.

    Without variances all points weigh the same and the scatter about the line gives the standard
    errors (ordinary least squares). Needs two points, and three for standard errors.
    """
    c0 = float(np.exp(np.log(budgets_flops).mean()))
    table = np.stack([np.ones(len(values)), np.log(budgets_flops / c0)], axis=1)
    weights = np.ones(len(values)) if variances is None else 1 / np.maximum(variances, 1e-12)
    inverse = np.linalg.inv(table.T @ (weights[:, None] * table))
    level, exponent = inverse @ table.T @ (weights * np.log(values))
    residual = np.log(values) - table @ np.array([level, exponent])
    freedom = len(values) - 2
    scatter = float(np.sqrt(weights @ residual**2 / freedom)) if freedom else np.nan
    factor = scatter if variances is None else np.fmax(scatter, 1.0)
    exponent_se = float(np.sqrt(inverse[1, 1]) * factor)
    return PowerLaw(float(exponent), exponent_se, float(level), c0)


def power_laws(budgets_flops: Array, log_values_RC: Array, variances: Array) -> Array:
    """Returns level and exponent [R, 2] of many tables of ln value at the same budgets [C]."""
    c0 = np.exp(np.log(budgets_flops).mean())
    table = np.stack([np.ones(len(budgets_flops)), np.log(budgets_flops / c0)], axis=1)
    root = 1 / np.sqrt(np.maximum(variances, 1e-12))
    return (log_values_RC * root) @ np.linalg.pinv(table * root[:, None]).T


@dataclass(frozen=True)
class Frontier:
    """N_opt = exp(log_size)·(C/c0)^a and D_opt = exp(log_tokens)·(C/c0)^b, with resamples."""

    method: str
    c0: float
    """Budget at which the levels are given."""
    numbers: Array
    """a, ln N at c0, b, ln D at c0: [4]."""
    samples: Array
    """The same numbers of every resample: [R, 4]."""
    errors: tuple[float, float] | None = None
    """Standard errors of a and b, where they are not the resamples'."""
    law: Laws | None = None
    law_samples: Laws | None = None

    @property
    def size_exponent(self) -> Estimate:
        """a of N_opt ∝ C^a."""
        return Estimate.of_samples(
            self.numbers[0], self.samples[:, 0], self.errors and self.errors[0]
        )

    @property
    def token_exponent(self) -> Estimate:
        """b of D_opt ∝ C^b."""
        return Estimate.of_samples(
            self.numbers[2], self.samples[:, 2], self.errors and self.errors[1]
        )

    def log_optimum(self, budget_flops: float) -> tuple[Array, Array]:
        """Returns ln N and ln D at a budget: the estimate first, then the resamples [1 + R]."""
        rows, distance = self.rows, np.log(budget_flops / self.c0)
        return rows[:, 1] + rows[:, 0] * distance, rows[:, 3] + rows[:, 2] * distance

    @property
    def rows(self) -> Array:
        """The estimate, then its resamples [1 + R, 4]."""
        return np.concatenate([self.numbers[None], self.samples])

    @property
    def constants(self) -> dict[str, float]:
        """The law's constants by :data:`CONSTANTS`; empty where there is no law."""
        if self.law is None:
            return {}
        values = (*self.law.constants(), self.law.alpha_R, self.law.beta_R)
        return {name: float(value[0]) for name, value in zip(CONSTANTS, values, strict=True)}

    def to_json(self) -> dict[str, Any]:
        """Returns plain values; resamples with five digits, and only once where a law has them."""
        return {
            "method": self.method,
            "c0": self.c0,
            "numbers": self.numbers.tolist(),
            "errors": self.errors,
            "samples": None if self.law_samples else _short(self.samples),
            "law": self.law and _law_json(self.law),
            "law_samples": self.law_samples and _law_json(self.law_samples),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], cost: Cost | None) -> Frontier:
        """Returns the frontier that :meth:`to_json` wrote; ``cost`` is the fit's."""
        law, samples = _law(content["law"]), _law(content["law_samples"])
        if law is not None and samples is not None and cost is not None:
            return frontier_of_laws(content["method"], content["c0"], law, samples, cost)
        errors = content["errors"]
        return cls(
            method=content["method"],
            c0=content["c0"],
            numbers=np.array(content["numbers"]),
            samples=np.array(content["samples"], dtype=float).reshape(-1, 4),
            errors=errors and (errors[0], errors[1]),
        )


def frontier_of_laws(method: str, c0: float, law: Laws, samples: Laws, cost: Cost) -> Frontier:
    """Returns the power laws that follow from E + A/N^α + B/D^β and the cost of a token."""
    numbers, rows = (_power_law_rows(laws, c0, cost) for laws in (law, samples))
    return Frontier(method, c0, numbers[0], rows, law=law, law_samples=samples)


def _power_law_rows(laws: Laws, c0: float, cost: Cost) -> Array:
    size_exponent = laws.beta_R / (laws.alpha_R + cost.gamma * laws.beta_R)
    sizes = laws.optimal_sizes(np.array([c0]), cost)[:, 0]
    tokens = cost.tokens(np.array(c0), sizes)
    token_exponent = 1 - cost.gamma * size_exponent
    return np.stack([size_exponent, np.log(sizes), token_exponent, np.log(tokens)], axis=1)


def _law_json(laws: Laws) -> dict[str, Any]:
    exact = len(laws.numbers_RP) == 1
    numbers = laws.numbers_RP.tolist() if exact else _short(laws.numbers_RP)
    return {"numbers": numbers, "n0": laws.n0, "d0": laws.d0}


def _law(content: Mapping[str, Any] | None) -> Laws | None:
    if content is None:
        return None
    return Laws(np.array(content["numbers"]), content["n0"], content["d0"])


def _short(values: Array) -> list[list[float]]:
    return [[float(f"{value:.5g}") for value in row] for row in values.tolist()]
