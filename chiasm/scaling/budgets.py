"""The budget that each run belongs to.

A table may name its budgets. Otherwise they are detected: runs are ordered by FLOPs and split
wherever the next run has used clearly more. Points that spread over compute have chance neighbours,
which are no budgets; so either most runs fall into such groups or there are none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chiasm.scaling.parabola import MINIMUM_SIZES
from chiasm.scaling.points import Point

Array = np.ndarray

SAME_BUDGET = 0.10
"""Largest relative spread of FLOPs within one budget."""

NEXT_BUDGET = 0.25
"""Relative step between FLOPs, in ascending order, that begins another budget."""

MOST = 0.8
"""Share of the runs that must fall into budgets."""

QUANTILES = 5
"""Number of groups of compute that replace budgets for leave-one-out errors."""


def budgets_of(points: Sequence[Point]) -> Array:
    """Returns the budget of each point [n]; nan for all where there are none.

    Runs that belong to none of a table's budgets have their own FLOPs as budget.
    """
    named = np.array([point.budget_flops or np.nan for point in points])
    flops = np.array([point.flops for point in points])
    if np.isfinite(named).any():
        return np.where(np.isfinite(named), named, flops)
    sizes = np.array([point.active_parameters for point in points])
    order = np.argsort(flops)
    starts = np.flatnonzero(np.diff(np.log(flops[order])) > np.log1p(NEXT_BUDGET)) + 1
    budgets, inside = flops.copy(), 0
    for group in np.split(order, starts):
        own = flops[group]
        if own.max() / own.min() <= 1 + SAME_BUDGET and len(set(sizes[group])) >= MINIMUM_SIZES:
            budgets[group] = np.exp(np.log(own).mean())
            inside += len(group)
    return budgets if inside >= MOST * len(points) else np.full(len(points), np.nan)


def groups_of(budgets: Array, flops: Array) -> Array:
    """Returns the groups for leave-one-out errors [n]: budgets, else quantiles of compute.

    A group is identified by the geometric mean of its FLOPs.
    """
    if np.isfinite(budgets).all():
        return budgets
    groups = np.empty(len(flops))
    num_groups = max(min(QUANTILES, len(flops) // 2), 1)
    for own in np.array_split(np.argsort(flops, kind="stable"), num_groups):
        groups[own] = np.exp(np.log(flops[own]).mean())
    return groups
