"""Training of the vocoder: the sound's spectra of several windows are to be those of the true one.

The loss has no phases in it: a sound that is heard alike may have others. For each window it is the
L1 distance of log magnitudes and, for the loud frequencies, the distance relative to the length of
the true spectra (Yamamoto et al., "Parallel WaveGAN", arXiv 1910.11480).

Shape suffixes: B sounds of a step, A channels, T samples, N = B·A, F spectra, K frequencies, P
latent tokens, C latent channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.errors import UserError
from chiasm.loop.metrics import Values
from chiasm.sound.learning.sounds import Sounds
from chiasm.sound.mel import FLOOR, LogMel
from chiasm.sound.spectrum import Spectrum
from chiasm.sound.vocoder import Vocoder
from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.vision.learning.draw import Draw
from chiasm.vision.learning.features import add_noise
from chiasm.vision.learning.fit import Fit, Losses, Stage

HOPS = (0.25, 0.5, 1.0, 2.0)
"""Hops of the compared spectra, relative to the encoder's."""


class SpectralLoss(nn.Module):
    """Distance of two sounds by their magnitudes under several windows."""

    def __init__(self, hop: int) -> None:
        super().__init__()
        self.hops = [max(8, round(hop * share)) for share in HOPS]
        self.spectra = nn.ModuleList(map(Spectrum, self.hops))

    def forward(self, made_NT: Tensor, true_NT: Tensor) -> dict[str, Tensor]:
        """Returns the terms ``log_magnitude`` and ``convergence``."""
        logs, convergences = [], []
        for spectrum, hop in zip(self.spectra, self.hops, strict=True):
            made_NFK, true_NFK = (_magnitudes(x_NT, spectrum, hop) for x_NT in (made_NT, true_NT))
            logs.append(functional.l1_loss(_log(made_NFK), _log(true_NFK)))
            distance = (made_NFK - true_NFK).square().sum() + 1e-8
            convergences.append((distance / (true_NFK.square().sum() + 1e-8)).sqrt())
        return {
            "log_magnitude": torch.stack(logs).mean(),
            "convergence": torch.stack(convergences).mean(),
        }


class VocoderStage(Stage):
    """The vocoder in training."""

    def __init__(
        self,
        vocoder: Vocoder,
        encoder: LogMel,
        statistics: LatentStatistics,
        noise: float,
        sounds: Sounds,
    ) -> None:
        super().__init__()
        self.vocoder = vocoder
        self.encoder = encoder.requires_grad_(False)
        self.loss = SpectralLoss(encoder.spectrum.hop)
        self.statistics, self.noise, self.sounds = statistics, noise, sounds

    def losses(self, draw: Draw) -> Losses:
        """Returns the terms of one step."""
        sounds_BAT = self.sounds.batch(draw.numbers[draw.own], self.device)
        with torch.no_grad():
            latents_BPC = self.statistics.standardize(self.encoder.features(sounds_BAT))
        made_BAT = self.vocoder(add_noise(latents_BPC, self.noise, draw))
        return Losses(self.loss(made_BAT.flatten(0, 1), sounds_BAT.flatten(0, 1)))


class VocoderFit(Fit):
    """The loop that trains the vocoder."""

    def report(self, found: Losses) -> tuple[Values, dict[str, int]]:
        """Returns terms; sounds, each as often as it was heard."""
        losses, counts = super().report(found)
        return losses, {"sounds": counts["pictures"]}

    def speed(self, found: Losses, counts: dict[str, int], seconds: float) -> Values:
        """Returns sounds per second."""
        return {"sounds_per_second": counts["sounds"] / seconds}


def refuse_few(sounds: Sounds) -> None:
    """Refuses to train on one sound.

    Raises:
        UserError: there are fewer than two.
    """
    if len(sounds) < 2:
        raise UserError(f"{sounds.data} has {len(sounds)} sounds; give at least 2")


def _magnitudes(x_NT: Tensor, spectrum: nn.Module, hop: int) -> Tensor:
    """Returns magnitudes [N, F, K] of sounds, silent behind their end up to a whole hop."""
    magnitudes: Tensor = spectrum(functional.pad(x_NT, (0, -x_NT.shape[1] % hop))).abs()
    return magnitudes


def _log(magnitudes: Tensor) -> Tensor:
    return magnitudes.clamp(min=FLOOR).log()
