"""Latents that are made once: ahead of training, or when an item is first met.

gallery.py      all images of some sources
measurement.py  latent statistics of a gallery
shards.py       latents on disk
latents.py      latents of a finished folder, by the content of their images
encoding.py     encodes a gallery's images into such a folder
store.py        contents by key in files that several processes fill
kept.py         a stream's latents in such files
items.py        a run's items, where some streams have such latents
"""
