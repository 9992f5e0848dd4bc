"""A trained decoder of log-mel spectrograms: a convolutional network over spectra.

It gives each spectrum's magnitudes, as factors of those that the mel bands tell, and its phases;
the inverse transform makes the sound (Siuzdak, "Vocos", arXiv 2306.00814). Nothing in it depends on
the length of a sound.

Shape suffixes: B sounds, A channels, T samples, N = B·A, F spectra, K frequencies, M mel bands, P
latent tokens, C latent channels, D width.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.sound.mel import FLOOR, MelBands, spectra
from chiasm.sound.settings import MelShape, VocoderSettings
from chiasm.sound.spectrum import Spectrum
from chiasm.sound.tokenizer import SoundDecoder
from chiasm.tokenizers.statistics import LatentStatistics, statistics_of

KERNEL = 7
LARGEST_MAGNITUDE = 1e2


class Block(nn.Module):
    """x + a convolution over time in each channel, and a perceptron over channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.over_time = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 3 * width),
            nn.GELU(),
            nn.Linear(3 * width, width),
        )

    def forward(self, x_NFD: Tensor) -> Tensor:
        """Returns a tensor of the same shape."""
        return x_NFD + self.perceptron(self.over_time(x_NFD.mT).mT)


class Vocoder(SoundDecoder, kind="vocoder"):
    """Maps log-mel spectra to sounds."""

    def __init__(
        self, mel: MelShape, settings: VocoderSettings, statistics: LatentStatistics
    ) -> None:
        super().__init__()
        self.mel, self.settings, self.statistics = mel, settings, statistics
        self.sound_shape = mel.shape
        self.spectrum = Spectrum(mel.hop)
        num_frequencies = self.spectrum.num_frequencies
        self.bands = MelBands(mel, num_frequencies)
        width = settings.width
        self.enter = nn.Conv1d(mel.mels, width, KERNEL, padding=KERNEL // 2)
        self.blocks = nn.ModuleList(Block(width) for _ in range(settings.depth))
        self.norm = nn.LayerNorm(width)
        self.to_factor = nn.Linear(width, num_frequencies)
        self.to_phase = nn.Linear(width, num_frequencies)
        nn.init.zeros_(self.to_factor.weight)  # training starts at the magnitudes of the bands
        nn.init.zeros_(self.to_factor.bias)

    def decode(self, raw_BPC: Tensor) -> Tensor:
        """Returns sounds [B, A, T]."""
        return self(self.statistics.standardize(raw_BPC))

    def forward(self, x_BPC: Tensor) -> Tensor:
        """Returns sounds [B, A, T] of standardized latents."""
        log_mel_NFM = spectra(self.statistics.restore(x_BPC), self.mel)
        x_NFM = spectra(x_BPC, self.mel)
        x_NFD = self.enter(x_NFM.mT).mT
        for block in self.blocks:
            x_NFD = block(x_NFD)
        x_NFD = self.norm(x_NFD)
        told_NFK = self.bands.magnitudes(log_mel_NFM).clamp(min=FLOOR / 10)
        magnitude_NFK = (told_NFK * self.to_factor(x_NFD).exp()).clamp(max=LARGEST_MAGNITUDE)
        sounds_NT = self.spectrum.inverse(torch.polar(magnitude_NFK, self.to_phase(x_NFD)))
        return sounds_NT.unflatten(0, (-1, self.mel.channels))

    def describe(self) -> dict[str, Any]:
        """Returns size, settings and statistics."""
        return {
            "mel": self.mel.model_dump(mode="json"),
            "settings": self.settings.model_dump(mode="json"),
            "statistics": asdict(self.statistics),
        }

    @classmethod
    def open(cls, described: Any) -> Any:
        """Returns a vocoder of these settings, untrained."""
        return cls(
            MelShape(**described["mel"]),
            VocoderSettings(**described["settings"]),
            statistics_of(described["statistics"]),
        )
