"""Samples as latents through a modified discrete cosine transform (MDCT); nothing is learned.

Each stretch of N samples becomes one token of N frequencies. Neighbouring stretches overlap through
rotations of the samples on both sides of their border (a sine window), at the ends of an item there
is none: the whole is one orthogonal matrix, and its transpose is the exact inverse. Amplitudes span
many powers of ten; the inverse hyperbolic sine makes those of loud frequencies logarithmic.

Princen and Bradley 1986; the rotations are those of Malvar's lapped transforms.

Shape suffixes: B sounds, A channels, T samples, P tokens of one sound, N samples of a token, H =
N/2 samples on each side of a border, C = A·N latent channels.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any, Self

import torch
from torch import Tensor

from chiasm.sound.settings import SoundShape
from chiasm.sound.tokenizer import SoundDecoder, SoundEncoder
from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.tokenizers.tokenizer import Tokenizer

QUIET = 0.02
"""Amplitude up to which a latent is proportional to a frequency's amplitude."""


class Mdct(SoundEncoder, SoundDecoder, kind="mdct"):
    """Encoder and decoder in one; exact in both directions."""

    cosine_NN: Tensor
    rise_H: Tensor

    def __init__(self, shape: SoundShape) -> None:
        super().__init__(shape, shape.channels * shape.token_samples)
        size = shape.token_samples
        place_N = torch.arange(size, dtype=torch.float64) + 0.5
        cosine_NN = (place_N[:, None] * place_N * (math.pi / size)).cos() * math.sqrt(2 / size)
        half_H = torch.arange(size // 2, dtype=torch.float64) + 0.5
        rise_H = ((size / 2 + half_H) * (math.pi / (2 * size))).sin()
        self.register_buffer("cosine_NN", cosine_NN.float(), persistent=False)
        self.register_buffer("rise_H", rise_H.float(), persistent=False)

    def features(self, sounds_BAT: Tensor) -> Tensor:
        """Returns frequencies of tokens [B, P, C], channels outermost, their loudness squeezed."""
        x_BAPN = sounds_BAT.unflatten(2, (-1, self.sound_shape.token_samples))
        frequencies_BAPN = self._lapped(x_BAPN, inverse=False) @ self.cosine_NN
        return (frequencies_BAPN / QUIET).asinh().transpose(1, 2).flatten(2)

    def decode(self, raw_BPC: Tensor) -> Tensor:
        """Returns sounds [B, A, T]: the inverse of :meth:`features`."""
        x_BAPN = raw_BPC.unflatten(2, (self.sound_shape.channels, -1)).transpose(1, 2)
        return self._lapped((x_BAPN.sinh() * QUIET) @ self.cosine_NN, inverse=True).flatten(2)

    def describe(self) -> dict[str, Any]:
        """Returns the size of sounds."""
        return asdict(self.sound_shape)

    @classmethod
    def open(cls, described: Any) -> Self:
        """Returns the transform of a size of sounds."""
        return cls(SoundShape(**described))

    def _lapped(self, x_BAPN: Tensor, *, inverse: bool) -> Tensor:
        """Rotates the samples at equal distances from each border between two tokens."""
        half = len(self.rise_H)
        rise_H = self.rise_H
        fall_H = (1 - rise_H.square()).sqrt() * (-1 if inverse else 1)
        x_BAPN = x_BAPN.clone()
        before_H = x_BAPN[:, :, :-1, -half:].flip(-1)  # nearest to the border first
        after_H = x_BAPN[:, :, 1:, :half].clone()
        x_BAPN[:, :, 1:, :half] = rise_H * after_H + fall_H * before_H
        x_BAPN[:, :, :-1, -half:] = (rise_H * before_H - fall_H * after_H).flip(-1)
        return x_BAPN


def mdct_tokenizer(shape: SoundShape) -> Tokenizer:
    """Returns the tokenizer; until it is measured its statistics are a neutral guess."""
    mdct = Mdct(shape)
    guess = LatentStatistics.neutral(mdct.channels, 0.0, 1.0, f"mdct {shape}", mdct.preprocessing)
    return Tokenizer("mdct", mdct, mdct, guess)
