"""Latents that are made ahead of training.

gallery.py      every picture that some sources show
measurement.py  latent statistics of a gallery
shards.py       latents on disk
latents.py      those of a finished folder, by the content of their pictures
encoding.py     a gallery's pictures into such a folder
items.py        a run's items, where some streams have such latents
"""
