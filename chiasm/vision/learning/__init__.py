"""Training of vision tokenizers.

settings.py         what training is asked for
ridge.py            linear regression in closed form
pictures.py         pictures to learn from
words.py            captions as word numbers; the text tower
fit.py              a stage, and the loop that trains it
features.py         terms on features that encoder objectives share
contrastive.py      the encoder, with captions
self_supervised.py  the encoder, without captions
adversary.py        a discriminator of drawn pictures
reconstruction.py   the decoder, or the variational autoencoder
frechet.py          the Fréchet distance in a network's features
figures.py          what a tokenizer keeps of held-out pictures
training.py         all stages into a folder
from_settings.py    the recipe of chiasm vision train
"""
