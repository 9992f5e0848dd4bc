"""The decoder: tokens, latents and a mask in, hidden vectors out; two heads on chosen rows.

Reading order, which is also the import order:

settings.py     what a decoder is made of
work.py         what one forward pass has to do: positions, rows, pairs; counted in FLOPs
elementwise.py  the operations between the matrix products: norm, rotary, SwiGLU
windows.py      a packed row cut where no interval crosses, for CPUs
mask.py         who sees whom: one interval of keys per query, and softmax attention under it
routing.py      which expert gets which rows: positions sorted by expert
layers.py       linear layer, norm, rotary table
router.py       how a position chooses its experts, and what is told of it
experts.py      capacity: one grouped product for all experts
cache.py        what attention keeps of what was already read
attention.py    what a block asks of its attention, and grouped-query attention
block.py        attention, then experts
latents.py      latents, flow time and place inside the item, embedded
initialise.py   a decoder's first weights
decoder.py      the whole model
"""

from chiasm.model.cache import KeyValueCache
from chiasm.model.decoder import Decoder, DecoderInput, LatentInput
from chiasm.model.mask import IntervalMask
from chiasm.model.settings import ModelSettings
from chiasm.model.work import Parameters, Work

__all__ = [
    "Decoder",
    "DecoderInput",
    "IntervalMask",
    "KeyValueCache",
    "LatentInput",
    "ModelSettings",
    "Parameters",
    "Work",
]
