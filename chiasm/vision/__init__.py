"""Tokenizers of images: kinds of encoders and decoders, and their training.

Importing the package registers every kind that a recipe may name, and needs no torch.

layers.py          which layers of an encoder are read
settings.py        settings of all tokenizers; shapes of what is trained here
shape.py           the grid of a picture that keeps its aspect ratio
tokenizer.py       base classes of all
pixels.py          patches of pixels
attention.py       the attention block of encoders and decoders
encoder.py         the encoder of a small representation autoencoder
decoder.py         decoders of such features, by kind
convolutional.py   one that begins linear
vit.py             a ViT
kl_autoencoder.py  a small variational autoencoder
published/         encoders and decoders whose weights are published elsewhere
parts.py           imports all of them, for folders that name them
trained.py         folders of tokenizers that were trained here
kinds.py           kinds ``pixels``, ``rae`` and ``vae``; decoders ``convolutional`` and ``vit``
learning/          training of tokenizers
cached/            latents that are encoded ahead of training
"""

import chiasm.vision.kinds  # noqa: F401
