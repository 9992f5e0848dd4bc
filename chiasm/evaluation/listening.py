"""Likeness of sounds to the truth, and probes that listen to them.

Shape suffixes: N sounds, A channels, T samples, L log-mel values, F features of one sound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from chiasm.capabilities import Sounding
from chiasm.documents import Continuous, Sound
from chiasm.evaluation.evaluation import SoundPanel
from chiasm.evaluation.material import spread
from chiasm.evaluation.probes import Probe
from chiasm.waveform import Waveform

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run

DISTANCE = "log-mel distance"
PROBE_SOUNDS = 2000
"""Real training sounds that probes are fitted on, at most."""


class TrueSounds:
    """Sounds that others are compared with."""

    def __init__(self, run: Run[Any], sounds: Sequence[Continuous]) -> None:
        from chiasm.inference import sounds as inference

        self._pretrained, self._inference = run.pretrained, inference
        shape = inference.sound_shape(run.pretrained)
        assert shape is not None  # else nothing is measured
        self.rate = shape.rate
        self.samples_NAT = self.read(sounds)
        """The sounds as the tokenizer reads them: float32."""
        self.log_mel_NL = inference.log_mel(self.samples_NAT, self.rate)

    def read(self, sounds: Sequence[Continuous]) -> np.ndarray:
        """Returns sounds as the tokenizer reads them: float32 [N, A, T]."""
        return self._inference.samples(self._pretrained, sounds)

    @cached_property
    def through_tokenizer(self) -> np.ndarray:
        """The sounds encoded and decoded again: float32 [N, A, T]."""
        return self.decoded(self.samples_NAT)

    def decoded(self, sounds_NAT: np.ndarray) -> np.ndarray:
        """Returns sounds encoded and decoded again: float32 [N, A, T]."""
        return self._inference.through_tokenizer(self._pretrained, sounds_NAT)

    def distance(self, sounds_NAT: np.ndarray) -> np.ndarray:
        """Returns the log-mel distance of each sound in decibels: float64 [N]."""
        return self.spectral_distance(self._inference.log_mel(sounds_NAT, self.rate))

    def spectral_distance(self, log_mel: np.ndarray) -> np.ndarray:
        """Returns the same of log-mel spectra, [N, L] or one [L] for all: float64 [N]."""
        return self._inference.log_mel_distance(log_mel, self.log_mel_NL)

    def mean_distance(self, sounds: Sequence[Continuous]) -> np.ndarray:
        """Returns the distance of other sounds' mean log-mel spectrum: float64 [N]."""
        spectra = self._inference.log_mel(self.read(sounds), self.rate)
        return self.spectral_distance(spectra.mean(0))

    def features(self, sounds_NAT: np.ndarray) -> np.ndarray:
        """Returns standardized latents of sounds, flattened: float32 [N, F]."""
        return self._inference.features(self._pretrained, sounds_NAT)

    def panel(self, label: str, sound_AT: np.ndarray) -> SoundPanel:
        """Returns a sound for a sample."""
        return SoundPanel(label, Waveform(sound_AT, self.rate))


@dataclass(frozen=True)
class SingleSounds:
    """Sounds and the truth of them, which is known where one alone is heard."""

    sounds: Sequence[Continuous]
    truth: Sequence[Mapping[str, str]]
    """Value by attribute; empty where it is not known."""
    clusters: np.ndarray

    @classmethod
    def of(cls, source: Sounding, count: int) -> SingleSounds:
        """Returns at most ``count`` sounds that are heard alone, spread over a source's frames."""
        truth = {n: facts for n in range(source.num_frames) if (facts := source.heard(n))}
        numbers = [[*truth][place] for place in spread(len(truth), count).tolist() if truth]
        places = np.array([source.place_of(number) for number in numbers], np.int64)
        sounds: list[Sound] = [source.sound(number) for number in numbers]
        return cls(sounds, [truth[number] for number in numbers], places)

    @property
    def attributes(self) -> list[str]:
        """Names of what is known, each once."""
        return list(dict.fromkeys(name for facts in self.truth for name in facts))

    def knowing(self, attribute: str) -> np.ndarray:
        """Returns the numbers of the sounds whose attribute is known: int64."""
        return np.flatnonzero([attribute in facts for facts in self.truth])

    def values(self, attribute: str) -> np.ndarray:
        """Returns the values of an attribute where it is known: str."""
        return np.array([facts[attribute] for facts in self.truth if attribute in facts])

    def probes(self, features_NF: np.ndarray) -> dict[str, Probe]:
        """Returns a probe of each attribute that varies, fitted on features of the sounds."""
        fitted = {}
        for attribute in self.attributes:
            own, values = self.knowing(attribute), self.values(attribute).tolist()
            if len(set(values)) > 1:
                fitted[attribute] = Probe.fit(features_NF[own], values, self.clusters[own])
        return fitted

    def found(self, attribute: str, probe: Probe, features_NF: np.ndarray) -> np.ndarray:
        """Returns whether a probe reads the true value in features of the sounds, or of others in
        their places, where it is known: bool.
        """
        return probe.predict(features_NF[self.knowing(attribute)]) == self.values(attribute)
