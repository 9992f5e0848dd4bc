"""Latents that are encoded ahead of training.

gallery.py      all images of some sources
measurement.py  latent statistics of a gallery
shards.py       latents on disk
latents.py      latents of a finished folder, by the content of their images
encoding.py     encodes a gallery's images into such a folder
items.py        a run's items, where some streams have such latents
"""
