"""The routing atlas: what the routers of a mixture of experts learned, on held-out documents.

Files, each importing only from those above it:

settings.py        how much is looked at, and where experts are told apart
observation.py     what routers choose, counted by document and group of positions
specialisation.py  experts of text, of vision and of both
tasks.py           pictures that are read against pictures that are drawn
spread.py          how much choices vary between groups, beside chance
pairs.py           experts that are chosen together
reasons.py         why something could not be measured, and the remedy
atlas.py           all of it
"""
