"""Refusal of tables that no single law can hold for, before anything is fitted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from chiasm.errors import UserError
from chiasm.scaling.budgets import budgets_of
from chiasm.scaling.points import Point

FLOPS_WITHIN = 0.02
"""Largest relative difference between used FLOPs and the budget."""

COUNT_WITHIN = 0.02
"""Largest relative difference of FLOPs per token from the shape's count: rows differ in pairs."""

CURVE_WITHIN = 0.3
"""Without such a count: largest relative difference of FLOPs per token from the curve of the other
sizes (whole blocks make steps of a fifth in small models), or else ODD times the table's own
scatter about it.
"""

ODD = 6.0

SHOWN = 5
"""Number of problems of one kind that are listed in full."""


def check_points(points: Sequence[Point]) -> None:
    """Refuses a table that no single law can hold for.

    Raises:
        UserError: losses that are not finite, cells twice or missing, several held-out sets or
            tokenizers, FLOPs that are not the budget's or not the shape's; all in one message.
    """
    kinds = [
        _not_finite(points),
        _duplicated(points),
        _mixed(points, "validation", "held-out sets"),
        _mixed(points, "tokenizer", "tokenizers"),
        _off_budget(points),
        _off_count(points),
        _off_curve(points),
    ]
    problems = [line for kind in kinds for line in _shown(list(kind))]
    if not problems:
        problems = _shown(list(_missing(points)))
    if problems:
        raise UserError("\n".join(problems))


def _shown(lines: list[str]) -> list[str]:
    rest = len(lines) - SHOWN
    return lines if rest <= 0 else [*lines[:SHOWN], f"and {rest} more of the same kind"]


def _not_finite(points: Sequence[Point]) -> Iterator[str]:
    for point in points:
        for modality, loss in point.losses.items():
            if not (math.isfinite(loss) and loss > 0):
                what = "is not a number or empty" if math.isnan(loss) else f"is {loss}"
                if point.state:
                    what += f" (the cell is {point.state})"
                yield (
                    f"cell {point.cell}, seed {point.seed}: loss_{modality} {what}; train the cell "
                    "or take its row out of the table"
                )


def _duplicated(points: Sequence[Point]) -> Iterator[str]:
    seen: set[tuple[object, ...]] = set()
    twice = []
    for point in points:
        run = (point.budget_flops or point.flops, point.active_parameters, point.seed)
        if {run, (point.cell, point.seed)} & seen:
            twice.append(point)
        seen |= {run, (point.cell, point.seed)}
    if len(twice) > 1 and len({point.seed for point in points}) == 1:
        yield (
            f"{len(twice)} of {len(points)} rows repeat the size and FLOPs of another and all have "
            "one seed: if they are repetitions, give the table a column seed (0, 1, ...)"
        )
    for point in twice:
        yield (
            f"cell {point.cell}, seed {point.seed} is in the table twice; keep one row, or "
            "give repetitions different seeds"
        )


def _mixed(points: Sequence[Point], name: str, what: str) -> Iterator[str]:
    first = {getattr(point, name): point.cell for point in reversed(points)}
    if len(first) > 1:
        told = ", ".join(f"{value or 'none'} (cell {cell})" for value, cell in first.items())
        yield f"the table mixes {what}: {told}; losses compare only on one, so fit each by itself"


def _off_budget(points: Sequence[Point]) -> Iterator[str]:
    for point in points:
        if point.budget_flops and abs(point.flops / point.budget_flops - 1) > FLOPS_WITHIN:
            yield (
                f"cell {point.cell}, seed {point.seed}: flops = {point.flops:.4g} is not its "
                f"budget_flops = {point.budget_flops:.4g} within {FLOPS_WITHIN:.0%}"
            )


def _missing(points: Sequence[Point]) -> Iterator[str]:
    """Yields the seeds that a size lacks and others of its budget have."""
    there: dict[float, dict[float, set[int]]] = {}
    for point, found in zip(points, budgets_of(points).tolist(), strict=True):
        budget = point.flops if math.isnan(found) else found
        there.setdefault(budget, {}).setdefault(point.active_parameters, set()).add(point.seed)
    seeds = {point.seed for point in points}
    for budget, sizes in there.items():
        for size, own in sizes.items():
            for seed in sorted(seeds - own):
                yield (
                    f"budget {budget:.3g}: the cell of {size:.4g} active parameters has no seed "
                    f"{seed}; train it, or take that seed out of the table"
                )


def _off_count(points: Sequence[Point]) -> Iterator[str]:
    """Yields runs whose FLOPs are not those counted for their shape."""
    for point in points:
        counted, used = point.flops_per_token, point.flops / point.tokens
        if counted is not None and abs(used / counted - 1) > COUNT_WITHIN:
            yield (
                f"cell {point.cell}, seed {point.seed}: flops / tokens = {used:.4g} is not "
                f"flops_per_token = {counted:.4g}, the cost of its shape, within "
                f"{COUNT_WITHIN:.0%}; count them again"
            )


def _off_curve(points: Sequence[Point]) -> Iterator[str]:
    """Yields runs off the curve of the others, where FLOPs per token were not counted by shape.

    FLOPs per token are roughly a smooth function of N.
    """
    if all(point.flops_per_token is not None for point in points):
        return
    x = np.log([point.active_parameters for point in points])
    y = np.log([point.flops / point.tokens for point in points]) if _countable(points) else x
    num_sizes = len(np.unique(x))
    if num_sizes < 4:
        return
    table = np.vander(x - x.mean(), 3 if num_sizes >= 6 else 2)
    weights = np.ones(len(x))
    for _ in range(30):  # least absolute deviations, so that one wrong run cannot bend the curve
        root = np.sqrt(weights)
        curve = table @ np.linalg.lstsq(table * root[:, None], y * root, rcond=None)[0]
        weights = 1 / np.maximum(np.abs(y - curve), 1e-6)
    limit = max(np.log1p(CURVE_WITHIN), ODD * 1.4826 * float(np.median(np.abs(y - curve))))
    for point, off in zip(points, y - curve, strict=True):
        if abs(off) > limit:
            yield (
                f"cell {point.cell}, seed {point.seed}: flops = {point.flops:.4g} is "
                f"{np.exp(off):.3g} times what {point.active_parameters:.4g} active parameters and "
                f"{point.tokens:.4g} tokens cost by the table's other cells; count them again"
            )


def _countable(points: Sequence[Point]) -> bool:
    return all(point.tokens > 0 and point.flops > 0 for point in points)
