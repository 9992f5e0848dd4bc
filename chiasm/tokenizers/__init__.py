"""Tokenizers of continuous streams: items to standardized latents and back.

statistics.py  mean and deviation of each latent channel, with their provenance
parts.py       encoders and decoders
memory.py      latents of items that were encoded before
tokenizer.py   an encoder, a decoder and statistics
streams.py     a run's tokenizers by stream
settings.py    settings of a stream's tokenizer: a registry of kinds
storage.py     a tokenizer as a folder
"""
