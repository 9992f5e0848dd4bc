"""Scaling laws for each modality: statistics of tables of points, which need no model.

Nothing here but the figures imports more of chiasm than errors and intervals, so that a law is
fitted and a forecast made without torch. :mod:`chiasm.studies.isoflop` plans what is measured.

points.py      a table of points: one row per run
lbfgs.py       L-BFGS on many small problems at once
law.py         the parametric law E + A/N^α + B/D^β, by Huber loss or variable projection
parabola.py    the size of lowest loss at one budget
budgets.py     which budget each run belongs to
checks.py      tables that no single law can hold for
runs.py        a checked table as arrays, and what N is
resample.py    resamples by the wild bootstrap
frontier.py    optimal sizes and tokens as power laws of compute, by one method
approaches.py  both approaches on one modality
flags.py       what a careful reader would object to
residuals.py   runs far off, and cells that scatter more than their seeds
influence.py   what single sizes do to a fit
fit.py         all of it on one table
optima.py      optima that others read off their curves; the paper's own
forecast.py    what a law says of budgets and sizes that were not trained
record.py      a fit as one JSON file
figures.py     IsoFLOP curves, and optima against compute
report.py      what is told of a fit and of a forecast
"""
