"""Reports: from a run folder and an evaluation to one page.

A report is data: a page file says what is in it, and one renderer per output format writes it.

Files, each importing only from those above it:

doc.py         elements of a report: facts, tables, figures, samples, prose, commands
numbers.py     formatting of numbers
sounds.py      sounds as data URIs, and as pictures
pictures.py    pixels as data URIs
html.py        a report as a self-contained page
markdown.py    a report as Markdown
terminal.py    a report on the terminal
record.py      a report as JSON
files.py       a page with its JSON on disk
charts.py      the style and the parts of every figure
run_folder.py  files of a training run: metrics, recipe, versions
curves.py      loss curves and flow loss by noise level
overview.py    overview.png: drawn, answered and imagined in one figure
page.py        the report of a run, and its files
card.py        the card of an exported model
census.py      the page of a recipe's data
plans.py       plans.json, trajectories for evo, and a contact sheet of each scene
atlas/         the routing atlas of a run, in a folder of its own
"""
