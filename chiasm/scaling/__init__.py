"""Scaling laws for each modality: plan an IsoFLOP study, fit what it measured, forecast from it.

points.py    a table of points: one row per run
checks.py    tables that no single law can hold for
lbfgs.py     L-BFGS on many small problems at once
law.py       the parametric law E + A/N^α + B/D^β, by Huber loss or variable projection
parabola.py  the size of lowest loss at one budget
power.py     power laws through optima
resample.py  intervals by the wild bootstrap
estimate.py  what one method says of one modality
optima.py    optima that others read off their curves; the paper's own
flags.py     what a careful reader would object to
fit.py       all of it on one table
"""
