"""How often the intervals of a fit hold the truth, over simulated IsoFLOP studies.

Each study has four budgets over a factor of 30, five sizes over a factor of 16 and one or two
seeds; its losses come from known laws. In one case they scatter by run, in the other a cell's seeds
scatter mostly together, as a learning rate that suits one shape better than another makes them do.

    python benchmarks/scaling_coverage.py [studies]
"""

from __future__ import annotations

import sys
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from record import write_record
from synthetic_points import LAWS, size_exponent, synthetic_points

from chiasm.intervals import LEVEL
from chiasm.scaling.approaches import FITS, Refused, approach2, approach3, parabolas_of
from chiasm.scaling.fit import gap
from chiasm.scaling.frontier import Frontier
from chiasm.scaling.resample import draw_signs
from chiasm.scaling.runs import Runs, SizeMeasure

STUDIES = 200
RESAMPLES = 100


@dataclass(frozen=True)
class Case:
    """How losses scatter, relative to themselves."""

    by_run: float
    by_cell: float
    seeds: int


CASES = (
    Case(by_run=0.003, by_cell=0.0, seeds=2),
    Case(by_run=0.00075, by_cell=0.003, seeds=2),
    Case(by_run=0.003, by_cell=0.0, seeds=1),
)


def estimates_of(case: Case, seed: int) -> dict[str, dict[str, Frontier]]:
    """Modality → method → estimate, of one study."""
    points = synthetic_points(
        seed=seed, noise=case.by_run, cell_noise=case.by_cell, seeds=case.seeds
    )
    runs = Runs.of(points)
    signs = draw_signs(RESAMPLES, runs.places, seed)
    cost = runs.cost(SizeMeasure.PARAMETERS)
    found: dict[str, dict[str, Frontier]] = {}
    for name in LAWS:
        found[name] = {}
        for method in FITS:
            with suppress(Refused):
                found[name][method] = approach3(runs, name, method, cost, signs)
        parabolas = parabolas_of(runs, name)
        with suppress(Refused):
            found[name]["parabola"] = approach2(runs, name, parabolas, signs)
    return found


def covered(case: Case, studies: int) -> dict[str, object]:
    """Share of the studies whose intervals hold the exponents and their gap, by method."""
    hits: dict[str, list[bool]] = defaultdict(list)
    errors: dict[str, list[float]] = defaultdict(list)
    first, other = LAWS
    for seed in range(studies):
        found = estimates_of(case, seed)
        numbers = {
            (name, method): (estimate.size_exponent, size_exponent(name))
            for name, own in found.items()
            for method, estimate in own.items()
        }
        for method in found[first].keys() & found[other].keys():
            truth = size_exponent(first) - size_exponent(other)
            numbers["gap", method] = gap(found[first][method], found[other][method]), truth
        for (name, method), (number, truth) in numbers.items():
            hits[f"{name} {method}"].append(number.low <= truth <= number.high)
            errors[f"{name} {method}"].append(number.value - truth)
    return {
        **asdict(case),
        "coverage": {name: round(float(np.mean(values)), 3) for name, values in hits.items()},
        "studies": {name: len(values) for name, values in hits.items()},
        "bias": {name: round(float(np.mean(values)), 4) for name, values in errors.items()},
        "deviation": {name: round(float(np.std(values)), 4) for name, values in errors.items()},
    }


def main() -> None:
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    figures: dict[str, Any] = {
        "nominal": LEVEL,
        "laws": LAWS,
        "resamples": RESAMPLES,
        "cases": [],
    }
    for case in CASES:
        figures["cases"].append(covered(case, studies))
        write_record("scaling_coverage", figures)  # so that a run that is stopped leaves something


if __name__ == "__main__":
    main()
