"""Features of sounds in the frozen tokenizer, and the distance at which they are heard.

Shape suffixes: N sounds, A channels, T samples, P latent tokens of one sound, C latent channels,
F = P·C features of one sound, S spectra of N·A channels, K frequencies, L = A·S·M log-mel values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from chiasm.documents import Continuous
from chiasm.inference.pretrained import Pretrained
from chiasm.sound.mel import MelBands
from chiasm.sound.settings import SOUND, MelShape, SoundShape, shape_of_sounds
from chiasm.sound.spectrum import Spectrum

SOUNDS_AT_ONCE = 64
MOST_BANDS = 64
"""Mel bands of a spectrum; where windows are short, a quarter of a hop's samples."""
DECIBELS = 20 / np.log(10)
"""Of a magnitude's natural logarithm."""


def sound_shape(pretrained: Pretrained) -> SoundShape | None:
    """Returns the size of the sounds that a model makes; None if it makes none."""
    tokenizer = pretrained.tokenizers.get(SOUND)
    if tokenizer is None or not tokenizer.decodes:
        return None
    return shape_of_sounds(tokenizer.encoder)


def samples(pretrained: Pretrained, sounds: Sequence[Continuous]) -> np.ndarray:
    """Returns sounds as the tokenizer reads them: float32 [N, A, T]."""
    tokenizer = pretrained.tokenizers.of(SOUND)
    return torch.stack([tokenizer.read(sound.data) for sound in sounds]).numpy()


@torch.inference_mode()
def features(pretrained: Pretrained, sounds_NAT: np.ndarray) -> np.ndarray:
    """Returns standardized latents of sounds, flattened: float32 [N, F]."""
    parts = [part_NPC.flatten(1).cpu() for part_NPC in _encoded(pretrained, sounds_NAT)]
    return torch.cat(parts).numpy()


@torch.inference_mode()
def through_tokenizer(pretrained: Pretrained, sounds_NAT: np.ndarray) -> np.ndarray:
    """Returns sounds encoded and decoded again: float32 [N, A, T]."""
    tokenizer = pretrained.tokenizers.of(SOUND)
    parts = [tokenizer.decode(part_NPC).cpu() for part_NPC in _encoded(pretrained, sounds_NAT)]
    return torch.cat(parts).numpy()


@torch.inference_mode()
def log_mel(sounds_NAT: np.ndarray, rate: int) -> np.ndarray:
    """Returns log-mel spectra in decibels, whatever the tokenizer reads: float32 [N, L].

    A spectrum every 80th of a second, under a Hann window of a 20th; 0 dB is a sine of amplitude
    1 in the middle of its band, and -80 the least that is told apart.
    """
    hop = rate // 80
    bands = max(8, min(MOST_BANDS, hop // 4))
    shape = MelShape(rate=rate, seconds=hop / rate, hop_samples=hop, hops_per_token=1, mels=bands)
    spectrum = Spectrum(hop)
    mel = MelBands(shape, spectrum.num_frequencies)
    found = []
    for begin in range(0, len(sounds_NAT), SOUNDS_AT_ONCE):
        part_NAT = torch.from_numpy(sounds_NAT[begin : begin + SOUNDS_AT_ONCE])
        padded_NAT = functional.pad(part_NAT, (0, -part_NAT.shape[2] % hop))
        log_mel_SFM = mel(spectrum(padded_NAT.flatten(0, 1)).abs())
        found.append(log_mel_SFM.view(len(part_NAT), -1) * DECIBELS)
    return torch.cat(found).numpy()


def log_mel_distance(log_mel_NL: np.ndarray, truth_NL: np.ndarray) -> np.ndarray:
    """Returns the root mean square difference of log-mel spectra in decibels: float64 [N]."""
    return np.sqrt(((log_mel_NL - truth_NL).astype(np.float64) ** 2).mean(1))


def _encoded(pretrained: Pretrained, sounds_NAT: np.ndarray) -> Iterator[Tensor]:
    tokenizer = pretrained.tokenizers.of(SOUND)
    for begin in range(0, len(sounds_NAT), SOUNDS_AT_ONCE):
        part = np.ascontiguousarray(sounds_NAT[begin : begin + SOUNDS_AT_ONCE])
        yield tokenizer.encode(torch.from_numpy(part).to(pretrained.device))
