"""Tokenizers of pictures: kinds of encoders and decoders, and their training.

Importing the package registers every kind.

tokenizer.py       what they share
pixels.py          patches of pixels
attention.py       the attention block of encoders and decoders
encoder.py         the encoder of a small representation autoencoder
decoder.py         decoders of such features, by kind
convolutional.py   one that begins linear
vit.py             a ViT
kl_autoencoder.py  a small variational autoencoder
published/         encoders and decoders whose weights are published elsewhere
trained.py         folders of tokenizers that were trained here
rae.py             kind ``rae``: shipped, trained here, or published
vae.py             kind ``vae``: trained here, or published
learning/          training one
cached/            latents that are made ahead of training
"""

from chiasm.vision import convolutional, encoder, kl_autoencoder, pixels, rae, vae, vit

__all__ = ["convolutional", "encoder", "kl_autoencoder", "pixels", "rae", "vae", "vit"]
