"""Quality of a tokenizer on held-out sounds: the figures that are stored beside its weights.

Shape suffixes: B sounds, A channels, T samples, N = B·A, F spectra, K frequencies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from chiasm.sound.learning.sounds import Sounds
from chiasm.sound.mel import FLOOR
from chiasm.sound.spectrum import Spectrum
from chiasm.sound.tokenizer import SoundEncoder
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.learning.figures import linear_probe

SOUNDS_AT_ONCE = 32

MOST_WORDS = 64
"""Different texts up to which they are answers of a probe."""
LEAST_DEVIATION = 0.1
"""Of a standardized latent, for a probe: where sounds have ended, all are alike but for noise."""
DECIBELS = 20 / 2.302585092994046
"""Of a magnitude's natural logarithm."""


def held_out_figures(
    tokenizer: Tokenizer, train: Sounds, held_out: Sounds, device: torch.device | str = "cpu"
) -> dict[str, float]:
    """Returns how near reconstructions are, and what a linear probe reads in them.

    ``log_spectral_distance_decibels`` is the root mean square over frequencies of the difference of
    log magnitudes, averaged over spectra of a 50th of a second where the true sound is not silent.
    ``probe/words`` is the accuracy of a linear probe of latents that was fitted on training sounds,
    where their words are few and recur; ``drawn_probe/words`` is the same probe's on the latents of
    reconstructions, and ``majority/words`` the share of the most frequent words.
    """
    latents, again, distances = [], [], []
    spectrum = _spectrum(tokenizer).to(device)
    for sounds_BAT in held_out.batches(SOUNDS_AT_ONCE, device):
        latents_BPC = tokenizer.encode(sounds_BAT)
        made_BAT = tokenizer.decode(latents_BPC)
        latents.append(latents_BPC.flatten(1).cpu())
        again.append(tokenizer.encode(made_BAT).flatten(1).cpu())
        distances.append(log_spectral_distance(made_BAT, sounds_BAT, spectrum).cpu())
    figures = {
        "held_out_sounds": float(len(held_out)),
        "log_spectral_distance_decibels": float(torch.cat(distances).mean()),
        "feature_distance": float((torch.cat(again) - torch.cat(latents)).square().mean()),
    }
    if _recur(train.words, held_out.words):
        batches = train.batches(SOUNDS_AT_ONCE, device)
        learned = torch.cat([tokenizer.encode(each).flatten(1).cpu() for each in batches])
        probe = linear_probe(learned, train.words, least_deviation=LEAST_DEVIATION)
        most_common = Counter(train.words).most_common(1)[0][0]
        figures["probe/words"] = _share(probe(torch.cat(latents)), held_out.words)
        figures["drawn_probe/words"] = _share(probe(torch.cat(again)), held_out.words)
        figures["majority/words"] = held_out.words.count(most_common) / len(held_out)
    return {name: round(value, 4) for name, value in figures.items()}


def log_spectral_distance(made_BAT: Tensor, true_BAT: Tensor, spectrum: Spectrum) -> Tensor:
    """Returns the log-spectral distance of each sound in decibels: [B]."""
    made_NFK, true_NFK = (
        spectrum(x_BAT.flatten(0, 1)).abs().clamp(min=FLOOR) for x_BAT in (made_BAT, true_BAT)
    )
    heard_NF = true_NFK.amax(dim=2) > 10 * FLOOR
    difference_NF = (made_NFK.log() - true_NFK.log()).square().mean(dim=2).sqrt() * DECIBELS
    counted_N = heard_NF.sum(dim=1).clamp(min=1)
    each_N = (difference_NF * heard_NF).sum(dim=1) / counted_N
    return each_N.unflatten(0, true_BAT.shape[:2]).mean(dim=1)


def _spectrum(tokenizer: Tokenizer) -> Spectrum:
    """Returns a transform whose hops divide an item of the tokenizer's sounds."""
    encoder = tokenizer.encoder
    assert isinstance(encoder, SoundEncoder)
    shape = encoder.sound_shape
    wanted = max(8, shape.rate // 200)
    hops = [hop for hop in range(8, shape.token_samples + 1) if not shape.num_samples % hop]
    return Spectrum(min(hops or [shape.token_samples], key=lambda hop: abs(hop - wanted)))


def _recur(train: Sequence[str], held_out: Sequence[str]) -> bool:
    return 1 < len(set(train)) <= MOST_WORDS and set(held_out) <= set(train)


def _share(answers: Sequence[str], truth: Sequence[str]) -> float:
    return sum(a == t for a, t in zip(answers, truth, strict=True)) / len(truth)
