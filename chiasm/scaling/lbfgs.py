"""L-BFGS on many small problems at once.

A bootstrap is a thousand fits of five numbers. One call per fit would spend its time outside of the
arithmetic; here all of them step together, each with its own history, step length and end. (Nocedal
& Wright, Numerical Optimization, algorithm 7.4, with backtracking.)

Shape suffixes: R problems, P numbers of one problem.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray

Objective = Callable[[Array, Array], tuple[Array, Array]]
"""(numbers [R', P], which problems they are [R']) → values [R'], gradients [R', P]."""

SUFFICIENT = 1e-4
HALVINGS = 30


def minimise(
    objective: Objective,
    start_RP: Array,
    *,
    iterations: int = 150,
    memory: int = 8,
    tolerance: float = 1e-8,
) -> tuple[Array, Array]:
    """Minimises each problem from its own start.

    Args:
        objective: smooth and scaled so that values of about 1e-8 no longer matter.
        start_RP: where each problem begins.
        iterations: at most.
        memory: past steps that shape the next.
        tolerance: a problem ends when no step lowers it by more than this share.

    Returns:
        numbers [R, P] and their values [R].
    """
    x_RP = np.array(start_RP, dtype=float)
    value_R, slope_RP = objective(x_RP, np.arange(len(x_RP)))
    active = np.flatnonzero(np.isfinite(value_R))
    history: list[tuple[Array, Array]] = []
    for _ in range(iterations):
        if not len(active):
            break
        direction = _direction(slope_RP[active], [(s[active], y[active]) for s, y in history])
        moved, value, slope = _search(
            objective, x_RP[active], value_R[active], slope_RP[active], direction, active
        )
        step, change = np.zeros_like(x_RP), np.zeros_like(x_RP)
        step[active], change[active] = moved - x_RP[active], slope - slope_RP[active]
        history = [*history[-memory + 1 :], (step, change)]
        gained = value_R[active] - value
        x_RP[active], value_R[active], slope_RP[active] = moved, value, slope
        active = active[gained > tolerance * (np.abs(value) + tolerance)]
    return x_RP, value_R


def _direction(slope_RP: Array, history: list[tuple[Array, Array]]) -> Array:
    """Returns -(inverse Hessian)·slope by two-loop recursion; steps without curvature
    are skipped.
    """
    direction = -slope_RP
    loops = []
    for step, change in reversed(history):
        curvature = np.einsum("rp,rp->r", step, change)
        usable = curvature > 1e-14 * np.einsum("rp,rp->r", change, change)
        inverse = np.where(usable, 1 / np.where(usable, curvature, 1.0), 0.0)
        share = inverse * np.einsum("rp,rp->r", step, direction)
        direction = direction - share[:, None] * change
        loops.append((step, change, inverse, share))
    if loops:
        step, change, inverse, _ = loops[0]
        square = np.einsum("rp,rp->r", change, change)
        scale = np.where(inverse > 0, 1 / np.maximum(inverse * square, 1e-300), 1.0)
        direction = direction * scale[:, None]
    for step, change, inverse, share in reversed(loops):
        other = inverse * np.einsum("rp,rp->r", change, direction)
        direction = direction + (share - other)[:, None] * step
    uphill = np.einsum("rp,rp->r", direction, slope_RP) >= 0
    direction[uphill] = -slope_RP[uphill]
    # One unit at most: the numbers are logarithms, and a first step knows no scale.
    longest = np.abs(direction).max(axis=1, keepdims=True)
    return direction / np.maximum(longest, 1.0)


def _search(
    objective: Objective,
    x_RP: Array,
    value_R: Array,
    slope_RP: Array,
    direction_RP: Array,
    problem_R: Array,
) -> tuple[Array, Array, Array]:
    """Halves each step until it lowers its value enough; a problem that finds none stays."""
    best_x, best_value, best_slope = x_RP.copy(), value_R.copy(), slope_RP.copy()
    wanted_R = SUFFICIENT * np.einsum("rp,rp->r", slope_RP, direction_RP)
    open_R, length = np.arange(len(x_RP)), 1.0
    for _ in range(HALVINGS):
        tried = x_RP[open_R] + length * direction_RP[open_R]
        value, slope = objective(tried, problem_R[open_R])
        good = value <= value_R[open_R] + length * wanted_R[open_R]
        chosen = open_R[good]
        best_x[chosen], best_value[chosen], best_slope[chosen] = (
            tried[good],
            value[good],
            slope[good],
        )
        open_R = open_R[~good]
        if not len(open_R):
            break
        length /= 2
    return best_x, best_value, best_slope
