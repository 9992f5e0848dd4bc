"""Training of vision tokenizers.

settings.py         settings of the training
ridge.py            linear regression in closed form
pictures.py         images to learn from
decoded.py          decoded images, kept
words.py            captions as word ids; the text tower
draw.py             what a step draws; the part of each rank
fit.py              a stage, and the loop that trains it
features.py         loss terms on features that encoder objectives share
contrastive.py      the encoder, with captions
self_supervised.py  the encoder, without captions
adversary.py        a discriminator of drawn images
reconstruction.py   the decoder, or the variational autoencoder
frechet.py          the Fréchet distance in a network's features
figures.py          quality of a tokenizer on held-out images
folder.py           the folder that a tokenizer is trained into
training.py         all stages into a folder
from_settings.py    the recipe of chiasm vision train
"""
