"""From a routing atlas to its page, its table and its figures.

Files, each importing only from those above it:

published.py  what the article reports of its own routers
maps.py       sources and places as heat maps
figures.py    every figure as SVG
table.py      atlas.json: every number, for programs
elements.py   plots, tables and numbers as HTML
choices.py    the page's sections on what the choice depends on
page.py       atlas.html: the self-contained page
write.py      all of it into the run folder
"""

from chiasm.report.atlas.write import AtlasFiles, write_atlas

__all__ = ["AtlasFiles", "write_atlas"]
