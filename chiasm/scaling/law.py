"""The parametric law (approach 3): L(N, D) = E + A / N^α + B / D^β.

(Hoffmann et al., arXiv 2203.15556, section 3.3 and appendix D.3.) Two ways to fit it:

- :func:`fit_huber`: Huber loss (δ = 1e-3) of the residual in log loss, by L-BFGS from a grid of
  starts.
- :func:`fit_projection`: least squares of the relative residual. For given α and β the best E, A
  and B ≥ 0 follow from a linear problem, so that only two numbers are searched (variable
  projection; Golub & Pereyra 1973), from the grid's values of α and β.

All fits take many tables of losses for the same runs at once. N and D are measured from their
geometric means, which keeps A and B apart from α and β.

Shape suffixes: R tables of losses, n runs, P = 5 numbers (ln E, ln A, ln B, ln α, ln β).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from chiasm.scaling.lbfgs import Objective, minimise

Array = np.ndarray

DELTA = 1e-3
"""Residuals in log loss beyond this count linearly."""

EXPONENTS = (0.08, 0.18, 0.35, 0.6, 1.0)
FLOORS = (0.05, 0.35, 0.65, 0.9)
"""Grid of starts: α, β, and E as a share of the lowest loss."""

SMALLEST, LARGEST = np.log(0.01), np.log(5.0)
"""Bounds of ln α and ln β: beyond them a term is a constant or a wall."""

AT_BOUND = 0.02
"""Distance of ln α or ln β to a bound below which it counts as at the bound."""

NO_SHARE = 1e-5
"""A term whose share of the loss is nowhere larger than this is at its bound, 0."""

SUBSETS = [columns for columns in product((True, False), repeat=3) if any(columns)]
"""Combinations of E, A and B that are above zero."""


@dataclass(frozen=True)
class Laws:
    """R fitted laws of one modality."""

    numbers_RP: Array
    """ln E, ln A, ln B, ln α, ln β, with N and D in units of ``n0`` and ``d0``."""
    n0: float
    d0: float

    @property
    def none(self) -> Laws:
        """No laws of the same modality: R = 0."""
        return Laws(self.numbers_RP[:0], self.n0, self.d0)

    @property
    def alpha_R(self) -> Array:
        """Exponent of N."""
        return np.exp(self.numbers_RP[:, 3])

    @property
    def beta_R(self) -> Array:
        """Exponent of D."""
        return np.exp(self.numbers_RP[:, 4])

    def loss(self, sizes: Array, tokens: Array) -> Array:
        """Returns the losses [R, n] at ``sizes`` and ``tokens``, each [n] or [R, n]."""
        return np.exp(self._terms(sizes, tokens)[0])

    def log_derivatives(self, sizes: Array, tokens: Array) -> Array:
        """Returns derivatives of the first law's log loss by its numbers, at runs [n]: [n, P]."""
        x, y, first = np.log(sizes / self.n0), np.log(tokens / self.d0), self.numbers_RP[:1]
        logs, terms = _terms(first, x, y)
        return _log_derivatives(first, terms, logs, x, y)[:, 0].T

    def _terms(self, sizes: Array, tokens: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        return _terms(self.numbers_RP, np.log(sizes / self.n0), np.log(tokens / self.d0))

    def at_bounds(self, sizes: Array, tokens: Array) -> dict[str, Array]:
        """Returns which of the five numbers are at a bound: name → mask [R]; runs [n] as fitted."""
        logs, terms = self._terms(sizes, tokens)
        absent = [(np.exp(term - logs) < NO_SHARE).all(axis=1) for term in terms]
        exponents = self.numbers_RP[:, 3:]
        edge = (exponents < SMALLEST + AT_BOUND) | (exponents > LARGEST - AT_BOUND)
        return dict(zip(("E", "A", "B", "α", "β"), (*absent, *edge.T), strict=True))

    def constants(self) -> tuple[Array, Array, Array]:
        """Returns E, A and B [R], for N in parameters and D in tokens."""
        e, a, b, _, _ = self.numbers_RP.T
        return (
            np.exp(e),
            np.exp(a + self.alpha_R * np.log(self.n0)),
            np.exp(b + self.beta_R * np.log(self.d0)),
        )

    def optimal_sizes(self, budgets_flops: Array, cost: Cost) -> Array:
        """Returns N [R, C] of lowest loss at each budget [C], where D tokens cost κ·N^γ·D FLOPs.

        N = (αA / (γβB) · (C/κ)^β)^(1 / (α + γβ)); with γ = 1 it is equation 4 of the article.
        """
        _, a_scale, b_scale = self.constants()
        alpha, beta, gamma = self.alpha_R, self.beta_R, cost.gamma
        ratio = np.log(alpha * a_scale / (gamma * beta * b_scale))[:, None]
        spent = beta[:, None] * np.log(np.asarray(budgets_flops) / cost.kappa)
        return np.exp((ratio + spent) / (alpha + gamma * beta)[:, None])


@dataclass(frozen=True)
class Cost:
    """FLOPs of one token as a power law of N: κ·N^γ; 6·N is κ = 6, γ = 1."""

    kappa: float
    gamma: float
    deviation: float
    """Largest relative deviation of a run from the power law."""

    @classmethod
    def of(cls, sizes: Array, tokens: Array, flops: Array) -> Cost:
        """Returns the power law fitted to runs; with one size only, γ is 1."""
        x, y = np.log(sizes), np.log(flops / tokens)
        gamma = float(np.polyfit(x - x.mean(), y, 1)[0]) if np.ptp(x) > 0 else 1.0
        level = float(np.mean(y - gamma * x))
        deviation = float(np.abs(np.expm1(y - level - gamma * x)).max())
        return cls(float(np.exp(level)), gamma, deviation)

    def tokens(self, budgets_flops: Array, sizes: Array) -> Array:
        """Returns D that a model of N parameters reads within a budget."""
        return budgets_flops / (self.kappa * sizes**self.gamma)


def fit_huber(sizes: Array, tokens: Array, losses_Rn: Array, start: Laws | None = None) -> Laws:
    """Returns R laws fitted by Huber loss on log loss; ``start`` replaces the grid of starts."""
    x, y, n0, d0 = _centred(sizes, tokens)
    target_Rn = np.log(losses_Rn)
    grid = _starts(losses_Rn, start)

    def objective(numbers: Array, problem: Array) -> tuple[Array, Array]:
        logs, terms = _terms(numbers, x, y)
        residual = logs - target_Rn[problem // len(grid[0])]
        small = np.clip(residual, -DELTA, DELTA)
        value = (small * (residual - small / 2)).mean(axis=1) / DELTA
        parts = _log_derivatives(numbers, terms, logs, x, y)
        gradient = np.einsum("rn,prn->rp", small, parts) / (residual.shape[1] * DELTA)
        return _bounded(numbers, value, gradient)

    return Laws(_best(objective, grid), n0, d0)


def fit_projection(
    sizes: Array, tokens: Array, losses_Rn: Array, start: Laws | None = None
) -> Laws:
    """Returns R laws fitted by least squares of the relative residual, E, A, B solved for."""
    x, y, n0, d0 = _centred(sizes, tokens)
    grid = _starts(losses_Rn, start)
    exponents = np.unique(grid[..., 3:], axis=1) if start is None else grid[..., 3:]

    def columns(numbers: Array, losses: Array) -> Array:
        alpha, beta = np.exp(numbers).T[:, :, None]
        raw = np.stack([np.ones_like(losses), np.exp(-alpha * x), np.exp(-beta * y)], axis=-1)
        return raw / losses[:, :, None]

    def objective(numbers: Array, problem: Array) -> tuple[Array, Array]:
        losses = losses_Rn[problem // exponents.shape[1]]
        table = columns(numbers, losses)
        scale = _non_negative(table)
        parts = table * scale[:, None, :]
        residual = parts.sum(axis=-1) - 1
        # At the best E, A, B only the direct dependence on α and β is left in the gradient.
        alpha, beta = np.exp(numbers).T
        gradient = np.stack(
            [
                -alpha * (residual * parts[..., 1] * x).mean(axis=1),
                -beta * (residual * parts[..., 2] * y).mean(axis=1),
            ],
            axis=1,
        )
        return _bounded(numbers, (residual**2).mean(axis=1) / 2, gradient)

    found = _best(objective, exponents, scale=1e4)
    scale = _non_negative(columns(found, losses_Rn))
    return Laws(np.concatenate([np.log(np.maximum(scale, 1e-12)), found], axis=1), n0, d0)


def geometric_mean(values: Array) -> float:
    """Returns the geometric mean, at which levels are given."""
    return float(np.exp(np.log(values).mean()))


def _centred(sizes: Array, tokens: Array) -> tuple[Array, Array, float, float]:
    n0, d0 = geometric_mean(sizes), geometric_mean(tokens)
    return np.log(sizes / n0), np.log(tokens / d0), n0, d0


def _starts(losses_Rn: Array, given: Laws | None) -> Array:
    """Returns the starts [R, starts, P]: the given one, or a grid.

    In the grid A and B share what E leaves of the median loss.
    """
    if given is not None:
        return np.broadcast_to(given.numbers_RP[:, None], (len(losses_Rn), 1, 5)).copy()
    lowest, middle = losses_Rn.min(axis=1), np.median(losses_Rn, axis=1)
    rows = []
    for floor, alpha, beta in product(FLOORS, EXPONENTS, EXPONENTS):
        rest = np.log((middle - floor * lowest) / 2)
        flat = np.ones_like(lowest)
        rows.append([np.log(floor * lowest), rest, rest, np.log(alpha) * flat, np.log(beta) * flat])
    return np.moveaxis(np.array(rows), 2, 0)


def _best(objective: Objective, grid: Array, scale: float = 1.0) -> Array:
    """Returns the best end of each table's starts: [R, starts, P] → [R, P]."""

    def scaled(numbers: Array, problem: Array) -> tuple[Array, Array]:
        value, gradient = objective(numbers, problem)
        return scale * value, scale * gradient

    tables, starts, width = grid.shape
    numbers, values = minimise(scaled, grid.reshape(-1, width))
    best = np.argmin(np.where(np.isfinite(values), values, np.inf).reshape(tables, starts), axis=1)
    return numbers.reshape(tables, starts, width)[np.arange(tables), best]


def _terms(numbers_RP: Array, x: Array, y: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    e, a, b, alpha, beta = numbers_RP.T[:, :, None]
    terms = (e + 0 * x, a - np.exp(alpha) * x, b - np.exp(beta) * y)
    return np.logaddexp(np.logaddexp(terms[0], terms[1]), terms[2]), terms


def _log_derivatives(
    numbers_RP: Array, terms: tuple[Array, Array, Array], logs: Array, x: Array, y: Array
) -> Array:
    """Returns the derivatives of log loss by each number: [P, R, n]."""
    floor, of_size, of_tokens = (np.exp(term - logs) for term in terms)
    alpha, beta = np.exp(numbers_RP.T[3:, :, None])
    return np.stack([floor, of_size, of_tokens, -alpha * x * of_size, -beta * y * of_tokens])


def _bounded(numbers: Array, value: Array, gradient: Array) -> tuple[Array, Array]:
    """Adds a steep wall to value and gradient where an exponent leaves its bounds."""
    exponents = numbers[:, -2:]
    over = exponents - np.clip(exponents, SMALLEST, LARGEST)
    gradient[:, -2:] += 2 * over
    return value + (over**2).sum(axis=1), gradient


def _non_negative(table_RnQ: Array) -> Array:
    """Returns scales [R, 3] ≥ 0 of three columns whose sum is nearest to 1 in every row."""
    gram = np.einsum("rnp,rnq->rpq", table_RnQ, table_RnQ)
    right = table_RnQ.sum(axis=1)
    best, best_gain = np.zeros_like(right), np.zeros(len(right))
    # Non-negative least squares of three unknowns: of the seven sets of positive ones, the feasible
    # solution with the largest gain is the optimum. The ridge keeps equal columns solvable.
    for subset in SUBSETS:
        kept = np.flatnonzero(subset)
        part = gram[:, kept[:, None], kept]
        ridge = 1e-13 * np.einsum("rpp->r", part)[:, None, None] * np.eye(len(kept))
        scale = np.linalg.solve(part + ridge, right[:, kept, None])[..., 0]
        gain = np.einsum("rp,rp->r", scale, right[:, kept])
        better = (scale >= 0).all(axis=1) & (gain > best_gain)
        best[better] = 0
        best[np.ix_(better, kept)] = scale[better]
        best_gain = np.where(better, gain, best_gain)
    return best
