"""The routing atlas: what the routers of a mixture of experts learned, on held-out documents.

Files, each importing only from those above it:

settings.py        sizes of the atlas, and the cut-off between classes of experts
observation.py     routers' choices, counted by document and group of positions
specialisation.py  experts of text, of vision and of both
tasks.py           routing of images that are read and of images that are drawn
spread.py          variation of choices between groups, beside chance
pairs.py           co-activation of experts
reasons.py         reasons for missing sections, with remedies
atlas.py           all sections
"""
