"""How often the intervals of a fit hold the truth, over simulated IsoFLOP studies.

Each study has four budgets over a factor of 30, five sizes over a factor of 16 and two seeds; its
losses come from known laws with log-normal noise, the modalities' independently.

    python benchmarks/scaling_coverage.py [studies]
"""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np
from record import write_record
from synthetic_points import LAWS, size_exponent, synthetic_points

from chiasm.errors import UserError
from chiasm.scaling.fit import fit_points
from chiasm.scaling.resample import LEVEL

STUDIES = 200
RESAMPLES = 300
NOISES = (0.001, 0.003)


def covered(noise: float, studies: int) -> dict[str, object]:
    """Share of the studies whose intervals hold the exponents and their gap, by method."""
    hits: dict[str, list[bool]] = defaultdict(list)
    errors: dict[str, list[float]] = defaultdict(list)
    refused = 0
    for seed in range(studies):
        try:
            fit = fit_points(
                synthetic_points(seed=seed, noise=noise), resamples=RESAMPLES, seed=seed
            )
        except UserError:
            refused += 1
            continue
        for name, own in fit.modalities.items():
            for method, estimate in own.estimates.items():
                number, truth = estimate.size_exponent, size_exponent(name)
                hits[f"{name} {method}"].append(number.low <= truth <= number.high)
                errors[f"{name} {method}"].append(number.value - truth)
        for (method, first, other), number in fit.gaps().items():
            truth = size_exponent(first) - size_exponent(other)
            hits[f"gap {method}"].append(number.low <= truth <= number.high)
            errors[f"gap {method}"].append(number.value - truth)
    return {
        "noise": noise,
        "refused": refused,
        "coverage": {name: round(float(np.mean(values)), 3) for name, values in hits.items()},
        "studies": {name: len(values) for name, values in hits.items()},
        "bias": {name: round(float(np.mean(values)), 4) for name, values in errors.items()},
        "deviation": {name: round(float(np.std(values)), 4) for name, values in errors.items()},
    }


def main() -> None:
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    figures = {
        "nominal": LEVEL,
        "laws": LAWS,
        "resamples": RESAMPLES,
        "by_noise": [covered(noise, studies) for noise in NOISES],
    }
    write_record("scaling_coverage", figures)


if __name__ == "__main__":
    main()
