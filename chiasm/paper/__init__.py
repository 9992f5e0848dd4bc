"""What the paper found and what was found here: one page, from findings as data and kept results.

Files, each importing only from those above it:

findings.py   the file of findings: claims, published numbers, what measures them
laws.py       a fit as a flat list of numbers
results.py    kept results: studies' cells and laws
agreement.py  the rules by which a measurement agrees
judge.py      every published number beside its measurements, with a verdict
figure.py     published and measured, on common scales, as inline SVG
page.py       the page, and the same for programs
"""

from chiasm.paper.findings import load_findings
from chiasm.paper.judge import judge
from chiasm.paper.page import write_paper
from chiasm.paper.results import keep, read_results

__all__ = ["judge", "keep", "load_findings", "read_results", "write_paper"]
