"""Tokenizers whose weights are published elsewhere, through the libraries that own them.

checkpoint.py       a published model's files: a folder, or the hub's cache
preprocessing.py    preprocessing of pixels, from its own configuration
part.py             base class of their encoders and decoders: a reference to weights
backbone.py         a vision model of transformers as a frozen encoder
autoencoder_rae.py  diffusers' decoder of an encoder's features
rae.py              encoder and decoder as a tokenizer
vae.py              diffusers' variational autoencoders as tokenizers
"""
