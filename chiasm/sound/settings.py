"""Size of an item of sound, and shapes of what is trained here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from chiasm.settings import Settings

SOUND = "sound"
"""The modality of sounds."""


@dataclass(frozen=True)
class SoundShape:
    """Size of an item of sound, and its latent tokens."""

    rate: int
    """Samples per second."""
    num_samples: int
    channels: int
    """1 or 2."""
    token_samples: int
    """Samples that one latent token stands for."""

    @property
    def num_tokens(self) -> int:
        """P: latent tokens of an item."""
        return self.num_samples // self.token_samples

    @property
    def seconds(self) -> float:
        """Length of an item."""
        return self.num_samples / self.rate


class ItemSettings(Settings):
    """Size of an item of sound."""

    rate: int = Field(default=16_000, ge=1_000, le=192_000)
    """Samples per second, whatever a file has."""
    seconds: float = Field(default=1.0, gt=0)
    """Length of an item, a whole number of latent tokens; a shorter sound is followed by silence, a
    longer one passed over."""
    channels: Literal[1, 2] = 1
    """1: the mean of a file's channels. 2: left and right."""

    def shape_of(self, token_samples: int) -> SoundShape:
        """Returns the size of items with tokens of so many samples.

        Raises:
            ValueError: an item is no whole number of tokens.
        """
        return sound_shape(self.rate, self.seconds, self.channels, token_samples)


def sound_shape(rate: int, seconds: float, channels: int, token_samples: int) -> SoundShape:
    """Returns the size of items with tokens of so many samples.

    Raises:
        ValueError: an item is no whole number of tokens.
    """
    num_samples = round(seconds * rate)
    if num_samples % token_samples or num_samples < token_samples:
        near = max(1, round(num_samples / token_samples)) * token_samples / rate
        raise ValueError(
            f"seconds = {seconds:g} at rate = {rate} are {num_samples} samples, no whole number of "
            f"latent tokens, each of {token_samples}; choose seconds = {near:.10g}"
        )
    return SoundShape(rate, num_samples, channels, token_samples)


class MelShape(ItemSettings):
    """Size of an item of sound and of its log-mel spectrogram."""

    hop_samples: int | None = Field(default=None, ge=8)
    """Samples from one spectrum to the next, each of four times as many; an 80th of a second if
    unset."""
    hops_per_token: int = Field(default=2, ge=1)
    """Spectra of one latent token."""
    mels: int = Field(default=64, ge=8, le=512)
    """Bands of a spectrum, evenly spaced in mel up to half the rate."""

    @property
    def hop(self) -> int:
        """Samples from one spectrum to the next."""
        return self.hop_samples or self.rate // 80

    @property
    def shape(self) -> SoundShape:
        """Size of items and tokens."""
        return self.shape_of(self.hop * self.hops_per_token)

    @model_validator(mode="after")
    def _tokens_fit(self) -> Self:
        assert self.shape
        return self


class VocoderSettings(Settings):
    """Shape of the vocoder."""

    width: int = Field(default=192, ge=8)
    """D: channels of the network."""
    depth: int = Field(default=6, ge=1)
    """Convolutional blocks, each over seven spectra."""


def shape_of_sounds(encoder: object) -> SoundShape | None:
    """Returns the size of the sounds that an encoder reads; None if it does not say."""
    shape = getattr(encoder, "sound_shape", None)
    return shape if isinstance(shape, SoundShape) else None
