"""Tokenizers of pictures: kinds of encoders and decoders, and their training.

Importing the package registers every kind that a recipe may name, and needs no torch.

settings.py        shapes of what is trained here
tokenizer.py       what they share
pixels.py          patches of pixels
attention.py       the attention block of encoders and decoders
encoder.py         the encoder of a small representation autoencoder
decoder.py         decoders of such features, by kind
convolutional.py   one that begins linear
vit.py             a ViT
kl_autoencoder.py  a small variational autoencoder
published/         encoders and decoders whose weights are published elsewhere
parts.py           all of them, as folders of tokenizers name them
trained.py         folders of tokenizers that were trained here
kinds.py           kinds ``pixels``, ``rae`` and ``vae``; decoders ``convolutional`` and ``vit``
learning/          training one
cached/            latents that are made ahead of training
"""

import chiasm.vision.kinds  # noqa: F401
