"""The waist: what every stream of data makes and every model reads; torch is all that it needs.

packed.py   PackedBatch: rows of positions, and the images that lie in them
latents.py  what a batch's pictures become for a model
"""
