"""The waist: what every source of documents becomes and every model reads; torch is all it needs.

streams.py  the named kinds of continuous data, and the modalities that they are of
slots.py    the items of one stream in a batch, and their places
items.py    what reads them: a span's payload as an item
layout.py   who sees whom: the one rule from positions and items to intervals
packed.py   PackedBatch: rows of positions with the items that lie in them
"""
