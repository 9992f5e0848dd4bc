"""Log-mel spectrograms as latents; nothing is learned. Phases are left out, and are found again.

Bands are triangles of height 1, evenly spaced in mel = 2595 log10(1 + f / 700) from 0 to half the
rate. A latent is the logarithm of a band's magnitude, of which :data:`FLOOR` is the least.

Shape suffixes: B sounds, A channels, T samples, F spectra of one sound, K frequencies, M mel bands,
P latent tokens (of F / P spectra), C = A·M·F/P latent channels.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from chiasm.errors import UserError
from chiasm.sound.settings import MelShape
from chiasm.sound.spectrum import Spectrum
from chiasm.sound.tokenizer import SoundDecoder, SoundEncoder
from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.tokenizers.tokenizer import Tokenizer

FLOOR = 1e-4
"""Magnitude below which nothing is told apart: -80 dB of a full sine."""

ITERATIONS = 32
MOMENTUM = 0.99
"""Of the fast Griffin-Lim algorithm (Perraudin, Balazs and Sondergaard 2013)."""


class MelBands(nn.Module):
    """Magnitudes of frequencies as those of mel bands, and back."""

    bands_KM: Tensor
    inverse_MK: Tensor

    def __init__(self, settings: MelShape, num_frequencies: int) -> None:
        super().__init__()
        bands_KM = mel_bands(settings.rate, num_frequencies, settings.mels)
        if not bool((bands_KM.sum(dim=0) > 0).all()):
            raise UserError(
                f"mels = {settings.mels} are more bands than spectra of {4 * settings.hop} samples "
                "tell apart; lower mels, or raise hop_samples"
            )
        self.register_buffer("bands_KM", bands_KM.float(), persistent=False)
        inverse_MK = torch.linalg.pinv(bands_KM)
        self.register_buffer("inverse_MK", inverse_MK.float(), persistent=False)

    def forward(self, magnitudes_BFK: Tensor) -> Tensor:
        """Returns the logarithms of bands [B, F, M]."""
        return (magnitudes_BFK @ self.bands_KM).clamp(min=FLOOR).log()

    def magnitudes(self, log_mel_BFM: Tensor) -> Tensor:
        """Returns magnitudes [B, F, K] that give about these bands, none below 0."""
        return (log_mel_BFM.exp() @ self.inverse_MK).clamp(min=0)


class LogMel(SoundEncoder, kind="mel"):
    """Maps sounds to log-mel spectra, those of a token side by side."""

    def __init__(self, settings: MelShape) -> None:
        shape = settings.shape
        super().__init__(shape, shape.channels * settings.mels * settings.hops_per_token)
        self.settings = settings
        self.spectrum = Spectrum(settings.hop)
        self.bands = MelBands(settings, self.spectrum.num_frequencies)

    def features(self, sounds_BAT: Tensor) -> Tensor:
        """Returns log-mel spectra [B, P, C], a token's channels outermost, then its spectra."""
        magnitudes_NFK = self.spectrum(sounds_BAT.flatten(0, 1)).abs()
        return tokens(self.bands(magnitudes_NFK), self.settings)

    def describe(self) -> dict[str, Any]:
        """Returns the settings."""
        return self.settings.model_dump(mode="json")

    @classmethod
    def open(cls, described: Any) -> Self:
        """Returns the encoder of these settings."""
        return cls(MelShape(**described))


class GriffinLim(SoundDecoder, kind="griffin-lim"):
    """Maps log-mel spectra to sounds, whose phases it finds by iteration."""

    def __init__(self, settings: MelShape) -> None:
        super().__init__()
        self.settings, self.sound_shape = settings, settings.shape
        self.spectrum = Spectrum(settings.hop)
        self.bands = MelBands(settings, self.spectrum.num_frequencies)

    def decode(self, raw_BPC: Tensor) -> Tensor:
        """Returns sounds [B, A, T]."""
        magnitudes_NFK = self.bands.magnitudes(spectra(raw_BPC, self.settings))
        sounds_NT = griffin_lim(magnitudes_NFK, self.spectrum)
        return sounds_NT.unflatten(0, (-1, self.sound_shape.channels))

    def describe(self) -> dict[str, Any]:
        """Returns the settings."""
        return self.settings.model_dump(mode="json")

    @classmethod
    def open(cls, described: Any) -> Self:
        """Returns the decoder of these settings."""
        return cls(MelShape(**described))


def tokens(log_mel_NFM: Tensor, settings: MelShape) -> Tensor:
    """Returns spectra of N = B·A channels as latent tokens [B, P, C]."""
    x_BAPHM = log_mel_NFM.unflatten(1, (-1, settings.hops_per_token)).unflatten(
        0, (-1, settings.channels)
    )
    return x_BAPHM.transpose(1, 2).flatten(2)


def spectra(latents_BPC: Tensor, settings: MelShape) -> Tensor:
    """Returns the inverse of :func:`tokens`: log-mel spectra [N, F, M]."""
    parts = (settings.channels, settings.hops_per_token, settings.mels)
    return latents_BPC.unflatten(2, parts).transpose(1, 2).flatten(0, 1).flatten(1, 2)


def griffin_lim(magnitudes_BFK: Tensor, spectrum: Spectrum) -> Tensor:
    """Returns sounds [B, T] whose spectra have about these magnitudes."""
    draws = torch.Generator().manual_seed(0)  # the same phases for every sound
    phase_FK = torch.rand(magnitudes_BFK.shape[1:], generator=draws).to(magnitudes_BFK.device)
    angle_BFK = torch.polar(torch.ones_like(phase_FK), 2 * torch.pi * phase_FK)[None]
    before = torch.zeros_like(angle_BFK)
    for _ in range(ITERATIONS):
        found = spectrum(spectrum.inverse(magnitudes_BFK * angle_BFK))
        ahead = found - before * (MOMENTUM / (1 + MOMENTUM))
        angle_BFK, before = ahead / ahead.abs().clamp(min=1e-8), found
    return spectrum.inverse(magnitudes_BFK * angle_BFK)


def mel_bands(rate: int, num_frequencies: int, mels: int) -> Tensor:
    """Returns the triangles' heights at evenly spaced frequencies up to half the rate, [K, M]."""
    nyquist = torch.tensor(rate / 2, dtype=torch.float64)
    highest_mel = 2595 * torch.log10(1 + nyquist / 700)
    edges = 700 * (
        10 ** (torch.linspace(0, 1, mels + 2, dtype=torch.float64) * highest_mel / 2595) - 1
    )
    frequency_K1 = torch.linspace(0, 1, num_frequencies, dtype=torch.float64)[:, None] * nyquist
    rise = (frequency_K1 - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - frequency_K1) / (edges[2:] - edges[1:-1])
    return torch.minimum(rise, fall).clamp(min=0)


def mel_tokenizer(settings: MelShape) -> Tokenizer:
    """Returns the tokenizer; until it is measured its statistics are a neutral guess."""
    encoder = LogMel(settings)
    guess = LatentStatistics.neutral(
        encoder.channels, -6.0, 2.0, f"mel {encoder.form}", encoder.preprocessing
    )
    return Tokenizer("mel", encoder, GriffinLim(settings), guess)
