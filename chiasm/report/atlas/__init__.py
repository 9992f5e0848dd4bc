"""The report of a routing atlas: its page, its table and its figures.

Files, each importing only from those above it:

published.py  the article's numbers for its own routers
maps.py       sources and places as heat maps
figures.py    every figure as SVG
table.py      atlas.json: every number, for programs
page.py       the report of an atlas
write.py      writes page, table and figures into the run folder
"""
