"""Tokenizers whose weights are published elsewhere, through the libraries that own them.

checkpoint.py       a published model's files: a folder, or the hub's cache
preprocessing.py    what its own configuration wants done to pixels
part.py             what their encoders and decoders share: what a run keeps of them
backbone.py         a vision model of transformers as a frozen encoder
autoencoder_rae.py  diffusers' decoder of an encoder's features
rae.py              encoder and decoder as a tokenizer
vae.py              diffusers' variational autoencoders as tokenizers
"""
