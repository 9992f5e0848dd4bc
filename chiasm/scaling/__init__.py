"""Scaling laws for each modality: statistics of tables of points, which need no model.

Nothing here but the figures imports more of chiasm than errors and intervals, so that a law is
fitted and a forecast made without torch. :mod:`chiasm.studies.isoflop` plans what is measured.

points.py      a table of points: one row per run
lbfgs.py       L-BFGS on many small problems at once
law.py         the parametric law E + A/N^α + B/D^β, by Huber loss or variable projection
parabola.py    the size of lowest loss at one budget
budgets.py     budgets of the runs
checks.py      refusal of tables that no single law can hold for
runs.py        a checked table as arrays, and the measure of N
resample.py    resamples by the wild bootstrap
frontier.py    optimal sizes and tokens as power laws of compute, by one method
approaches.py  both approaches on one modality
flags.py       warnings about doubtful numbers
residuals.py   outliers, and lack of fit beyond the scatter of seeds
influence.py   influence of single sizes on a fit
fit.py         all methods on one table
optima.py      fits of published optima; the paper's own
forecast.py    forecasts for budgets and sizes that were not trained
record.py      a fit as one JSON file
figures.py     IsoFLOP curves, and optima against compute
report.py      reports of a fit and of a forecast
"""
