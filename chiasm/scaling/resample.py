"""Intervals by the wild bootstrap over cells.

A study is a designed experiment: its sizes and budgets are chosen, only the losses are random. A
resample therefore keeps every run where it is and gives it the fitted loss plus or minus its own
residual (Liu 1988; Rademacher signs after Davidson & Flachaire 2008). Seeds of one cell share a
shape, a learning rate and a length of training, so that part of what they miss the law by they miss
together: one sign is drawn for all of them (Cameron, Gelbach & Miller 2008), which holds whether
losses scatter by run or by cell. Cells may scatter differently at different budgets, and no
resample loses a size, as drawing five cells with replacement would. All modalities of a cell share
its sign, so that a gap between modalities keeps what their losses have in common.

Residuals are first stretched, since the fit has absorbed part of each cell's error: by (I - H)^-s,
with H the cell's block of the hat matrix. With s = 1/2 variances are right (CR2: Bell & McCaffrey
2002) and intervals from a dozen cells too narrow; s = 1 is what the jackknife does (CR3), and too
wide where a curve of three numbers goes through five cells. :data:`OF_LAW` and :data:`OF_CURVE`
hold what they promise in ``benchmarks/scaling_coverage.py``.
"""

from __future__ import annotations

import numpy as np

from chiasm.scaling.law import Array

OF_LAW = 1.0
"""Stretch s for one law through all cells."""

OF_CURVE = 0.85
"""Stretch s for a parabola through the cells about a budget's lowest loss."""

LEAST_LEFT = 0.1
"""Least share of a cell's residual that its own fit is assumed to leave."""


def draw_signs(num_resamples: int, places: Array, seed: int) -> Array:
    """Returns ±1 for each cell of each resample, repeated for each run [R, n].

    ``places`` are the numbers of the runs' cells.
    """
    _, own = np.unique(places, return_inverse=True)
    random = np.random.default_rng(seed)
    return random.choice([-1.0, 1.0], size=(num_resamples, int(own.max()) + 1))[:, own]


def resampled(
    fitted: Array, residual: Array, table: Array, places: Array, signs_Rn: Array, stretch: float
) -> Array:
    """Returns losses [R, n] about a fit that is, at least locally, linear in ``table``'s columns.

    Args:
        fitted: the fit [n].
        residual: what it leaves [n].
        table: derivatives of the fit by its numbers [n, P].
        places: the number of each run's cell [n].
        signs_Rn: from :func:`draw_signs`.
        stretch: s of the module's docstring.
    """
    q, _ = np.linalg.qr(table)
    stretched = np.empty_like(residual)
    for place in np.unique(places):
        own = np.flatnonzero(places == place)
        # The cell's block of I - H, with H = QQᵀ the hat matrix.
        left, axes = np.linalg.eigh(np.eye(len(own)) - q[own] @ q[own].T)
        left = np.maximum(left, LEAST_LEFT)
        stretched[own] = (axes / left**stretch) @ axes.T @ residual[own]
    return fitted + signs_Rn * stretched
