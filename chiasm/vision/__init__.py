"""Vision tokenizers: pictures to standardised latents and back.

statistics.py      mean and deviation of each latent channel, with their provenance
tokenizer.py       the protocol
streams.py         a run's tokenizers by stream
pixels.py          patches of pixels
published/         tokenizers whose weights are published elsewhere
attention.py       the attention block of encoders and decoders
vit.py             a ViT decoder
encoder.py         the encoder of a small representation autoencoder
rae.py             such an autoencoder: encoder and decoder
kl_autoencoder.py  a small variational autoencoder
storage.py         a tokenizer as a folder
build.py           a run's tokenizer from its settings
learning/          training one
cached/            latents that are made ahead of training
"""
