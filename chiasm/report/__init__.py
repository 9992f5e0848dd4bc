"""From a run folder and an evaluation to one page that a researcher would keep.

A report is data: pages say what is in them, and one renderer for each form writes it.

Files, each importing only from those above it:

doc.py         what a report is made of: facts, tables, figures, samples, prose, commands
numbers.py     numbers in words
pictures.py    pixels as data URIs
html.py        a report as a page that needs nothing beside it
markdown.py    a report as Markdown
terminal.py    a report on the terminal
record.py      a report as JSON
files.py       a page with its JSON on disk
charts.py      the style and the parts of every figure
run_folder.py  what a training run left behind: metrics, recipe, versions
curves.py      loss curves and flow loss by noise level
overview.py    overview.png: drawn, answered and imagined in one figure
page.py        the report of a run, and its files
plans.py       plans.json, trajectories for evo, and a contact sheet of each scene
atlas/         the routing atlas of a run, in a folder of its own
"""
