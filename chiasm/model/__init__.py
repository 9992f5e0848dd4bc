"""The decoder: tokens, latents and a mask in, hidden vectors out; two heads on chosen rows.

Importing the package registers the kinds of attention, and needs no torch. Reading order, which is
also the import order:

settings.py     what a decoder is made of
work.py         what one forward pass has to do: positions, rows, pairs; counted in FLOPs
elementwise.py  the operations between the matrix products: norm, rotary, SwiGLU
cross_entropy.py  the loss of a vocabulary, without all its logits at once
windows.py      a packed row cut where no interval crosses, for CPUs
windowed.py     grouped-query attention by windows, one autograd function
mask.py         who sees whom: one interval of keys per query, and softmax attention under it
routing.py      which expert gets which rows: positions sorted by expert
layers.py       linear layer, norm, rotary table
fused.py        the experts' half of a block, one autograd function
exchange.py     rows that travel to the ranks that have their experts
router.py       how a position chooses its experts, and what is told of it
experts.py      capacity: one grouped product for all experts
cache.py        what attention keeps of what was already read
attention.py    what a block asks of its attention, and grouped-query attention
passes.py       what a pass is given beside its inputs, and what it gives
kinds.py        the kinds of attention that a recipe names
block.py        attention, then experts
inputs.py       what the decoder reads, in rows of documents or sorted by modality
latents.py      latents, flow time, solver's step and place inside the item, embedded
inner.py        a head in the middle, with a target of its own
checkpointing.py  which activations are computed again in the backward pass
initialize.py   a decoder's first weights
decoder.py      the whole model
stacked.py      several decoders of one shape that make their passes together
"""

import chiasm.model.kinds  # noqa: F401
