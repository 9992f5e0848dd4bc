"""Comparisons as data: a study file names runs that differ in one thing, and what is compared.

plan → run → collect → report. Files, each importing only from those above it:

settings.py    the study file
data.py        the users' files that a study reads
cells.py       a resolved recipe and a content hash for each cell and seed
held_out.py    the documents that every cell is measured on
shared.py      worlds and tokenizers, made once for all cells
step.py        what one training step of a recipe reads
shapes.py      models of one aspect, and their learning rates
plan.py        tokens, FLOPs, parameters and time of every cell; refusal of unequal cells
measures.py    the metrics of one trained cell
cell.py        one cell in its own process
launcher.py    where cells run: processes of this machine
runner.py      keeps the slots busy until every cell is finished or failed
collect.py     what was found so far, as JSON and as points of a scaling law
shift.py       how far texts lie from a corpus
table.py       the comparison: means, differences, published values
figure.py      the metrics of all cells as SVG
page.py        the study's page, and the short text for docs
isoflop.py     an IsoFLOP study, from budgets and a number of sizes
"""

from chiasm.studies.cell import run_cell
from chiasm.studies.cells import Cell, expand
from chiasm.studies.collect import Record, State, collect, is_isoflop, points, write_cells
from chiasm.studies.launcher import Job, Launcher, LocalLauncher
from chiasm.studies.page import write_study_report
from chiasm.studies.plan import Cost
from chiasm.studies.runner import Planned, StudyProgress, plan, run_study
from chiasm.studies.settings import StudySettings, load_study

__all__ = [
    "Cell",
    "Cost",
    "Job",
    "Launcher",
    "LocalLauncher",
    "Planned",
    "Record",
    "State",
    "StudyProgress",
    "StudySettings",
    "collect",
    "expand",
    "is_isoflop",
    "load_study",
    "plan",
    "points",
    "run_cell",
    "run_study",
    "write_cells",
    "write_study_report",
]
