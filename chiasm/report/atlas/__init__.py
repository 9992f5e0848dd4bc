"""From a routing atlas to its page, its table and its figures.

Files, each importing only from those above it:

published.py  what the article reports of its own routers
maps.py       sources and places as heat maps
figures.py    every figure as SVG
table.py      atlas.json: every number, for programs
page.py       the report of an atlas
write.py      all of it into the run folder
"""
