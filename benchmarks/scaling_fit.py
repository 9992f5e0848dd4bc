"""Seconds of one fit: 50 runs, two modalities, three methods, 1,000 resamples of each.

Beside the clock's seconds stand the processor's own, and the load of the machine: where others work
too, only the processor's say what the fit costs.

python benchmarks/scaling_fit.py
"""

from __future__ import annotations

import os
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
    seconds, processor_seconds = [], []
    for _ in range(REPEATS):
        begin, begin_processor = time.perf_counter(), time.process_time()
        fit_points(points, resamples=RESAMPLES)
        seconds.append(time.perf_counter() - begin)
        processor_seconds.append(time.process_time() - begin_processor)
    figures = {
        "runs": len(points),
        "modalities": len(points[0].losses),
        "resamples": RESAMPLES,
        "seconds": round(median(seconds), 2),
        "processor_seconds": round(median(processor_seconds), 2),
        "load_average": round(os.getloadavg()[0], 1),
        "limit_seconds": LIMIT_SECONDS,
    }
    write_record("scaling_fit", figures)
    print(f"{figures['seconds']} s for {len(points)} runs and {RESAMPLES} resamples")


if __name__ == "__main__":
    main()
