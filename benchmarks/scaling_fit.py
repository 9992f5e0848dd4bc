"""Seconds of one fit: 50 runs, two modalities, three methods, 1,000 resamples of each.

python benchmarks/scaling_fit.py
"""

from __future__ import annotations

import time
from statistics import median

from record import write_record
from synthetic_points import synthetic_points

from chiasm.scaling.fit import fit_points

RESAMPLES = 1000
REPEATS = 3
LIMIT_SECONDS = 20.0


def main() -> None:
    points = synthetic_points(seed=0, budgets=(1e17, 3e17, 1e18, 3e18, 1e19))
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        fit_points(points, resamples=RESAMPLES)
        seconds.append(time.perf_counter() - begin)
    figures = {
        "runs": len(points),
        "modalities": len(points[0].losses),
        "resamples": RESAMPLES,
        "seconds": round(median(seconds), 2),
        "limit_seconds": LIMIT_SECONDS,
    }
    write_record("scaling_fit", figures)
    print(f"{figures['seconds']} s for {len(points)} runs and {RESAMPLES} resamples")


if __name__ == "__main__":
    main()
