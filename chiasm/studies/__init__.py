"""Comparisons as data: a study file names runs that differ in one thing, and their metrics.

plan → run → collect → report. Files, each importing only from those above it:

settings.py    the study file
data.py        hashes of the users' files that a study reads
cells.py       a resolved recipe and a content hash for each cell and seed
branches.py    cells that begin with the checkpoint of a longer one
opened.py      opened data, which stay open for the next cell of a process
held_out.py    the documents that every cell is measured on
shared.py      worlds and tokenizers, made once for all cells
step.py        content of one training step of a recipe
shapes.py      models of one aspect, and their learning rates
plan.py        tokens, FLOPs, parameters and time of every cell; refusal of unequal cells
measures.py    the metrics of one trained cell
cell.py        one cell: train, measure, write the results
slot.py        a process that runs cells in succession
launcher.py    where cells run: processes of this machine
cluster.py     where cells run: jobs of a Slurm cluster
planned.py     a study ready to run: cells, what they share, what they cost
runner.py      keeps the slots busy until every cell is finished or failed
collect.py     results so far, as JSON and as points of a scaling law
shift.py       distances of texts to a corpus
table.py       the comparison: means, differences, published values
figure.py      the metrics of all cells as SVG
page.py        the study's page, and the short text for docs
grid.py        the sizes of an IsoFLOP study at each budget
isoflop.py     an IsoFLOP study, from budgets and a number of sizes
"""
