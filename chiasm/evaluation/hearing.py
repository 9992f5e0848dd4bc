"""What the model's states say of a sound that it has heard, read by linear probes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from chiasm.capabilities import Sounding
from chiasm.documents import Continuous
from chiasm.evaluation.evaluation import Findings
from chiasm.evaluation.listening import PROBE_SOUNDS, SingleSounds
from chiasm.evaluation.measure import Measure
from chiasm.evaluation.rows import Row
from chiasm.evaluation.shared import MeasureSettings

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run
    from chiasm.inference.pretrained import Pretrained

MAJORITY, UNTRAINED, LATENTS = "majority", "untrained model", "tokenizer's latents"
NO_TRUTH = (
    "no source knows what is heard; one that does is stream.sources.NAME.kind = 'world' with "
    "task = 'aqa'"
)
NO_SINGLE_SOUNDS = "no frame of the training or the held-out maps has one sound alone"


class HearingSettings(MeasureSettings):
    """How many sounds probes are asked about."""

    heard_sounds: int = Field(600, ge=2)
    """Held-out sounds that probes of the model's states are asked about."""


class Hearing(Measure[HearingSettings]):
    """Accuracy of linear probes of the model's states behind a sound, for each attribute."""

    section = "hearing"
    settings = HearingSettings
    baselines = (
        "A linear probe reads the hidden vectors after every block at the mark that closes a "
        "sound, the first thing of a document. It is fitted on real training sounds with the "
        "world's ground truth. Frames count in which one sound alone is heard; a distance close "
        "to the border of near and far is not asked for. The majority is the most frequent value "
        "in training; the untrained model is the same decoder with its first weights; the "
        "tokenizer's latents are what the model is given, all of them."
    )

    def measure(self, run: Run[HearingSettings]) -> Findings:
        """Returns rows for each attribute of a sound."""
        from chiasm.inference.sounds import sound_shape

        if sound_shape(run.pretrained) is None:
            return Findings()
        sources = run.material.sounding()
        if sources is None:
            return Findings(skipped={self.section: NO_TRUTH})
        return self._measured(run, *sources)

    def _measured(self, run: Run[HearingSettings], train: Sounding, held_out: Sounding) -> Findings:
        from chiasm.inference.states import states

        learned = SingleSounds.of(train, PROBE_SOUNDS)
        asked = SingleSounds.of(held_out, run.settings.heard_sounds)
        if not asked.sounds or not learned.sounds:
            return Findings(skipped={self.section: NO_SINGLE_SOUNDS})
        first = untrained(run.pretrained, run.settings.seed)
        readers: dict[str, Callable[[Sequence[Continuous]], np.ndarray]] = {
            "": lambda sounds: states(run.pretrained, sounds),
            UNTRAINED: lambda sounds: states(first, sounds),
            LATENTS: lambda sounds: _latents(run, sounds),
        }
        right = {name: _right(learned, asked, read) for name, read in readers.items()}
        rows: list[Row] = []
        for attribute, own in right[""].items():
            majority, _ = Counter(learned.values(attribute)).most_common(1)[0]
            usual = np.array([value == majority for value in asked.values(attribute)])
            beside = {name: each[attribute] for name, each in right.items() if name}
            clusters = asked.clusters[asked.knowing(attribute)]
            measure = run.measurement(self.section, "share", "higher", clusters)
            title = f"{attribute} of a sound, read from the model's states"
            rows += measure.rows(title, own, {MAJORITY: usual, **beside}, (UNTRAINED,))
        return Findings(rows)


def untrained(pretrained: Pretrained, seed: int) -> Pretrained:
    """Returns the model as it was before its training: the same decoder with first weights."""
    from chiasm.model.decoder import Decoder

    own = pretrained.decoder
    fresh = Decoder(
        own.settings,
        vocabulary=own.vocabulary,
        streams=own.shapes,
        seed=seed,
        compute_dtype=own.compute_dtype,
    )
    return replace(pretrained, decoder=fresh.to(own.device).eval().requires_grad_(False))


def _latents(run: Run[HearingSettings], sounds: Sequence[Continuous]) -> np.ndarray:
    from chiasm.inference.sounds import features, samples

    return features(run.pretrained, samples(run.pretrained, sounds))


def _right(
    learned: SingleSounds, asked: SingleSounds, read: Callable[[Sequence[Continuous]], np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns, for each attribute, whether a probe of what ``read`` gives finds it: bool."""
    probes, features_NF = learned.probes(read(learned.sounds)), read(asked.sounds)
    return {name: asked.found(name, probe, features_NF) for name, probe in probes.items()}
