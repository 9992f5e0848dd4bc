"""The paper's findings beside results of this repository: one page, from data and kept results.

Files, each importing only from those above it:

findings.py   the file of findings: claims, published numbers, their measurements here
laws.py       a fit as a flat list of numbers
results.py    kept results: studies' cells and laws
agreement.py  rules of agreement between a measurement and a published number
judge.py      published numbers with their measurements and verdicts
figure.py     published and measured values on common scales, as inline SVG
page.py       the page, and its content as JSON
"""

from chiasm.paper.findings import load_findings
from chiasm.paper.judge import judge
from chiasm.paper.page import write_paper
from chiasm.paper.results import keep, read_results

__all__ = ["judge", "keep", "load_findings", "read_results", "write_paper"]
