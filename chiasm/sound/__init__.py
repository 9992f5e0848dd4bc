"""Tokenizers of sounds: kinds of encoders and decoders, and the training of one.

Importing the package registers every kind that a recipe may name, and needs no torch.

settings.py     size of an item of sound; shapes of what is trained here
tokenizer.py    base classes of all
mdct.py         an orthogonal transform of the samples
spectrum.py     the short-time Fourier transform and its inverse
mel.py          log-mel spectrograms, and sound from them by the Griffin-Lim algorithm
vocoder.py      a trained decoder of log-mel spectrograms
parts.py        imports all of them, for folders that name them
learned.py      folders of tokenizers that were trained here
kinds.py        kinds ``mdct``, ``mel`` and ``vocoder``
learning/       training of the vocoder
"""

import chiasm.sound.kinds  # noqa: F401
