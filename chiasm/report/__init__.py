"""From a run folder and an evaluation to one page that a researcher would keep.

Files, each importing only from those above it:

wording.py     numbers, verdicts and baselines in words
pictures.py    pixels as data URIs
run_folder.py  what a training run left behind: metrics, recipe, versions
frame.py       the frame of every page
curves.py      loss curves and flow loss by noise level as inline SVG
overview.py    overview.png: drawn, answered and imagined in one figure
table.py       report.json: the table for programs
page.py        report.html: the self-contained page
plans.py       plans.json, trajectories for evo, and a contact sheet of each scene
write.py       all of it into the run folder
atlas/         the routing atlas of a run, in a folder of its own
"""

from chiasm.report.page import Provenance
from chiasm.report.run_folder import RunFolder
from chiasm.report.write import ReportFiles, write_report

__all__ = ["Provenance", "ReportFiles", "RunFolder", "write_report"]
