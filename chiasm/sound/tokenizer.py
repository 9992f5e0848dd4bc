"""Base classes of encoders and decoders of sounds.

Shape suffixes: B sounds, A their channels (1 or 2), T samples, P latent tokens of one sound, C
latent channels.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from chiasm.documents import Sound
from chiasm.errors import UserError
from chiasm.sound.settings import SOUND, SoundShape
from chiasm.tokenizers.parts import Decoder, Encoder
from chiasm.waveform import RULE, Given, decoded, described, held

LONGER = 0.01
"""By which share of an item a sound may be longer; its end is cut off. Files of "ten seconds" have
a few samples more."""


class SoundEncoder(Encoder):
    """Maps sounds [B, A, T] to latents; a subclass defines :meth:`features`."""

    modality = SOUND
    preprocessing = f"samples in [-1, 1], rule {RULE}"

    def __init__(self, shape: SoundShape, channels: int) -> None:
        super().__init__()
        self.sound_shape = shape
        self.grid = (shape.num_tokens,)
        self.channels = channels

    @abstractmethod
    def features(self, sounds_BAT: Tensor) -> Tensor:
        """Returns latents [B, P, C] of sounds."""

    def read(self, data: Given) -> Tensor:
        """Returns a sound at the encoder's rate, with silence behind it: float32 [A, T].

        Raises:
            UserError: it cannot be decoded, or is longer than an item.
        """
        shape, sound = self.sound_shape, held(data)
        samples_AT = decoded(sound, shape.rate, shape.channels)
        missing = shape.num_samples - samples_AT.shape[1]
        if missing < -LONGER * shape.num_samples:
            seconds = samples_AT.shape[1] / shape.rate
            raise UserError(
                f"sound {described(sound)} has {seconds:.4g} seconds, more than the "
                f"{shape.seconds:g} of an item",
                remedy="raise seconds of the stream, or cut such sounds into several items "
                "(clip_seconds of an audio_text source)",
            )
        if missing > 0:
            samples_AT = np.pad(samples_AT, ((0, 0), (0, missing)))
        return torch.from_numpy(samples_AT[:, : shape.num_samples])

    def encode(self, items_B: Tensor) -> Tensor:
        """Returns latents [B, P, C] of sounds [B, A, T].

        Raises:
            UserError: they are of another size.
        """
        given = tuple(items_B.shape[1:])
        expected = (self.sound_shape.channels, self.sound_shape.num_samples)
        if given != expected:
            raise UserError(f"the tokenizer takes sounds of shape {expected}, not {given}")
        return self.features(items_B)

    @property
    def form(self) -> str:
        """Size of sounds and tokens."""
        return str(self.sound_shape)


class SoundDecoder(Decoder):
    """Maps latents to sounds [B, A, T]; a subclass defines :meth:`decode`."""

    sound_shape: SoundShape

    def span(self, item: Tensor, stream: str) -> Sound:
        """Returns a sound [A, T] as a context span of a stream."""
        from chiasm.waveform import Waveform

        samples = item.float().cpu().numpy()
        return Sound(Waveform(samples, self.sound_shape.rate), target=False, stream=stream)
