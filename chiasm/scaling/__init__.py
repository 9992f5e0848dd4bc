"""Scaling laws for each modality: plan an IsoFLOP study, fit what it measured, forecast from it.

rows.py        a CSV file's rows
points.py      a table of points: one row per run
lbfgs.py       L-BFGS on many small problems at once
law.py         the parametric law E + A/N^α + B/D^β, by Huber loss or variable projection
parabola.py    the size of lowest loss at one budget
budgets.py     which budget each run belongs to
checks.py      tables that no single law can hold for
power.py       power laws through optima
resample.py    intervals by the wild bootstrap
estimate.py    what one method says of one modality
runs.py        a checked table as arrays, and what N is
flags.py       what a careful reader would object to
approaches.py  both approaches on one modality
residuals.py   runs far off, and cells that scatter more than their seeds
influence.py   what single sizes do to a fit
fit.py         all of it on one table
optima.py      optima that others read off their curves; the paper's own
forecast.py    what a law says of budgets and sizes that were not trained
record.py      a fit as one JSON file
step.py        what one training step of a recipe reads
shapes.py      models of one aspect, and their learning rates
plan.py        the cells of an IsoFLOP study, from budgets and a number of sizes
study_file.py  a plan as a study file
figures.py     IsoFLOP curves, and optima against compute
report.py      what is told of a fit and of a forecast
"""

from chiasm.scaling.fit import Fit, fit_points
from chiasm.scaling.forecast import optimum, relative_growth
from chiasm.scaling.optima import fit_optima, paper_optima, read_optima
from chiasm.scaling.plan import Centre, Plan, plan_isoflop
from chiasm.scaling.points import Point, read_points, write_points
from chiasm.scaling.record import read_fit, write_fit
from chiasm.scaling.runs import SizeMeasure
from chiasm.scaling.step import Step, count_recipe_step, count_step
from chiasm.scaling.study_file import write_study

__all__ = [
    "Centre",
    "Fit",
    "Plan",
    "Point",
    "SizeMeasure",
    "Step",
    "count_recipe_step",
    "count_step",
    "fit_optima",
    "fit_points",
    "optimum",
    "paper_optima",
    "plan_isoflop",
    "read_fit",
    "read_optima",
    "read_points",
    "relative_growth",
    "write_fit",
    "write_points",
    "write_study",
]
