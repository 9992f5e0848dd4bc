"""Words → sound: what the model said, heard by a probe of real recordings; and sound → words.

Shape suffixes: N recordings, A their channels, T samples, F features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from chiasm.data.reading import ReadingLog
from chiasm.documents import Document, Sound, Source, Text
from chiasm.evaluation.evaluation import Findings, Sample, SoundPanel
from chiasm.evaluation.material import NothingToMeasure, cluster_of
from chiasm.evaluation.measure import Measure
from chiasm.evaluation.rows import Row
from chiasm.evaluation.shared import MeasureSettings
from chiasm.sound.settings import SOUND
from chiasm.waveform import Waveform

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run

GUESS, MAJORITY = "a guess", "most frequent words"
NO_SOUNDS = "no source asks for a sound in words, as those of kind 'audio_text' do"

_LOOKED_AT = 16
"""Documents of a source that are read to see what it holds."""
_ASIDE = 5
"""One training recording in this many is not fitted on: it tests the probe."""
_AT_ONCE = 64
"""Recordings that are encoded together."""


class SoundSettings(MeasureSettings):
    """How many sounds are made, and what hears them."""

    sounds: int = Field(200, ge=2)
    """Held-out recordings; a sound is made from the words of each."""
    probe_sounds: int = Field(2000, ge=8)
    """Real training recordings that the probe of words is fitted on."""


@dataclass(frozen=True)
class _Recording:
    """A sound and the words that ask for it."""

    sound: Sound
    prompt: str
    """Words behind the name of their task: ``speech: seven``."""
    cluster: int

    @property
    def words(self) -> str:
        return self.prompt.partition(":")[2].strip()


class SpokenWords(Measure[SoundSettings]):
    """Share of words that a probe hears in the sounds made from them, and of words written right.

    Where words are no classes, as captions are none, it shows sounds only.
    """

    section = "words and sounds"
    settings = SoundSettings
    baselines = (
        "A linear probe, trained on frozen tokenizer features of real training recordings with "
        "their words, hears a sound that was made from held-out words; the sound counts when the "
        "probe hears those words. A guess has each word as often as training has it. The probe's "
        "own accuracy is listed with it: on training recordings that it was not fitted on, which "
        "is the ceiling of sounds in training's voices, and on the held-out recordings, raw and "
        "through the tokenizer. Words are written greedily and count only when they match "
        "exactly; the most frequent ones of training are the baseline. Made sounds of equal words "
        "differ by their noise alone and are one cluster; recordings belong together as their "
        "source says, by a group_column of speakers for example."
    )
    heading = "What it sounds like"
    lead = (
        "Sounds made from the words of held-out recordings. The truth through the tokenizer is the "
        "clearest that this model could sound."
    )
    overview = "Said from held-out words"

    def measure(self, run: Run[SoundSettings]) -> Findings:
        """Returns the findings on each source that asks for sounds."""
        held_out = run.material.held_out
        sources = {name: source for name, source in held_out.items() if _asks(source)}
        if not sources:
            heard = SOUND in run.pretrained.tokenizers
            return Findings(skipped={self.section: NO_SOUNDS} if heard else {})
        return self.by_source(sources, lambda name, _, of: self.measure_source(run, name, of))

    def measure_source(self, run: Run[SoundSettings], name: str, of: str = "") -> Findings:
        """Returns the findings on one source; ``of`` is appended to the names of its rows.

        Raises:
            NothingToMeasure: no sound of it can be made.
        """
        from chiasm.inference.sounds import sound_shape

        section, skipped = f"{self.section}{of}", {}
        source, settings = run.material.held_out[name], run.settings
        asked = _recordings(source, settings.sounds, run.log)
        if not asked:
            raise NothingToMeasure("no held-out recording can be read")
        if sound_shape(run.pretrained) is None:
            raise NothingToMeasure("there is no decoder of sounds, so none can be made")
        log = ReadingLog(run.pretrained.tokenizers)
        training = _recordings(run.material.train[name], settings.probe_sounds, log)
        counts = Counter(each.words for each in training)
        if why := _no_classes(counts):
            few = asked[: settings.shown]
            return Findings(samples=_samples(run, few, _sounds(run, few)), skipped={section: why})
        known = [each for each in asked if each.words in counts]
        if unknown := len(asked) - len(known):
            skipped[f"{section}, {unknown} of {len(asked)}"] = "words of no training recording"
        if not known:
            return Findings(skipped=skipped)
        sounds, aside = _sounds(run, known), training[::_ASIDE]
        fitted = [each for number, each in enumerate(training) if number % _ASIDE]
        told = _heard(run, fitted, {**sounds, "aside": _read(run, aside)})
        told["written"] = _written(run, source, [each.sound for each in known], counts)
        samples = _samples(run, known[: settings.shown], sounds, told)
        return Findings(_rows(run, known, aside, counts, told, of), samples, skipped=skipped)


def _asks(source: Source) -> bool:
    """Returns whether a source asks for sounds in words."""
    numbers = range(min(_LOOKED_AT, len(source)))
    documents = ReadingLog().documents(source, numbers, pictures=False)
    return any(_asked(document) for _, document in documents)


def _asked(document: Document) -> tuple[str, Sound] | None:
    """Returns words and sound of a document that asks for one sound in words; otherwise None."""
    match document.spans:
        case (Text(prompt), Sound(stream=stream) as sound) if sound.target and stream == SOUND:
            return (prompt, sound) if prompt.partition(":")[2].strip() else None
    return None


def _recordings(source: Source, count: int, log: ReadingLog) -> list[_Recording]:
    """Returns recordings that a source asks for, at random places, always the same ones.

    Tables are often sorted by their words, and every second document asks: even places would be
    those of some words alone.
    """
    places = np.random.default_rng(0).permutation(len(source))[: 4 * count].tolist()
    found = (
        _Recording(pair[1], pair[0], cluster_of(source, number, document))
        for number, document in log.documents(source, places)
        if (pair := _asked(document))
    )
    return list(islice(found, count))


def _no_classes(counts: Counter[str]) -> str:
    """Returns the reason why words are no classes of a probe; empty if they are."""
    from chiasm.sound.learning.figures import MOST_WORDS

    if 2 <= len(counts) <= min(MOST_WORDS, counts.total() // 2):
        return ""
    return (
        f"a probe of words needs 2 to {MOST_WORDS} different ones that recur; "
        f"{counts.total():,} training recordings have {len(counts):,}"
    )


def _read(run: Run[SoundSettings], recordings: Sequence[_Recording]) -> np.ndarray:
    """Returns recordings as the tokenizer reads them, silence behind them: float32 [N, A, T]."""
    from chiasm.inference.sounds import samples

    return samples(run.pretrained, [each.sound for each in recordings])


def _sounds(run: Run[SoundSettings], asked: Sequence[_Recording]) -> dict[str, np.ndarray]:
    """Returns a sound made from the words of each recording, the recording decoded, and itself:
    float32 [N, A, T] each.
    """
    from chiasm.inference.sounds import through_tokenizer
    from chiasm.inference.tasks import synthesize

    prompts, settings = [each.prompt for each in asked], run.settings
    made = synthesize(run.sampler, prompts, settings=settings.drawing, seed=settings.seed)
    true_NAT = _read(run, asked)
    return {
        "made": np.stack([each.samples_CT for each in made]),
        "truth, decoded": through_tokenizer(run.pretrained, true_NAT),
        "truth": true_NAT,
    }


def _heard(
    run: Run[SoundSettings], fitted: Sequence[_Recording], sounds: Mapping[str, np.ndarray]
) -> dict[str, Sequence[str]]:
    """Returns the words that a probe, fitted on training recordings, hears in other sounds."""
    import torch

    from chiasm.inference.sounds import features
    from chiasm.sound.learning.figures import LEAST_DEVIATION
    from chiasm.vision.learning.figures import linear_probe

    parts = (fitted[begin : begin + _AT_ONCE] for begin in range(0, len(fitted), _AT_ONCE))
    learned_NF = np.concatenate([features(run.pretrained, _read(run, part)) for part in parts])
    words = [each.words for each in fitted]
    probe = linear_probe(torch.from_numpy(learned_NF), words, least_deviation=LEAST_DEVIATION)
    return {
        name: probe(torch.from_numpy(features(run.pretrained, own_NAT)))
        for name, own_NAT in sounds.items()
    }


def _written(
    run: Run[SoundSettings], source: Source, sounds: Sequence[Sound], counts: Counter[str]
) -> Sequence[str]:
    """Returns the words that the model writes of recordings; none if it never learned to."""
    from chiasm.inference.tasks import answer_prompts

    if not (prompt := _prompt(source)):
        return ()
    encode = run.pretrained.text_tokenizer.encode
    longest = max(len(encode(f"{prompt} {words}")) for words in counts) - len(encode(prompt))
    return answer_prompts(
        run.sampler,
        [Sound(each.data, target=False) for each in sounds],
        [prompt] * len(sounds),
        settings=run.settings.writing(longest + 1),
        seed=run.settings.seed,
    )


def _rows(
    run: Run[SoundSettings],
    asked: Sequence[_Recording],
    aside: Sequence[_Recording],
    counts: Counter[str],
    told: Mapping[str, Sequence[str]],
    of: str,
) -> list[Row]:
    words = np.array([each.words for each in asked])
    guess = np.array([counts[each] / counts.total() for each in words])
    [(usual, _)] = counts.most_common(1)
    made, real, known = (
        run.measurement(SpokenWords.section, "share", "higher", clusters)
        for clusters in (
            np.unique(words, return_inverse=True)[1],
            np.array([each.cluster for each in asked]),
            np.array([each.cluster for each in aside]),
        )
    )
    right = {name: np.array(told[name]) == words for name in ("made", "truth, decoded", "truth")}
    said, own = "words are heard in the sound made from them", "the probe's own accuracy"
    again = np.array(told["aside"]) == [each.words for each in aside]
    rows = [
        made.row(f"{said}{of}", right["made"], guess, GUESS, headline=True),
        known.row(f"{own}, training recordings that it was not fitted on{of}", again),
        real.row(f"{own}, real held-out recordings{of}", right["truth"], guess, GUESS),
        real.row(f"{own}, through the tokenizer{of}", right["truth, decoded"]),
    ]
    if told["written"]:
        name = f"words of real held-out recordings are written right{of}"
        written = np.array(told["written"]) == words
        rows.append(real.row(name, written, words == usual, MAJORITY, headline=True))
    return rows


def _prompt(source: Source) -> str:
    """Returns what stands before the words of a sound that is heard: ``transcript:``."""
    numbers = range(min(_LOOKED_AT, len(source)))
    for _, document in ReadingLog().documents(source, numbers, pictures=False):
        match document.spans:
            case (Sound(), Text(told)) if ":" in told:
                return told.partition(":")[0] + ":"
    return ""


def _samples(
    run: Run[SoundSettings],
    asked: Sequence[_Recording],
    sounds: Mapping[str, np.ndarray],
    told: Mapping[str, Sequence[str]] | None = None,
) -> list[Sample]:
    from chiasm.inference.sounds import sound_shape

    shape = sound_shape(run.pretrained)
    assert shape is not None  # else nothing is measured
    labels = {"made": "the probe hears", "written": "of the truth the model writes"}
    lines = {label: told[name] for name, label in labels.items() if told and told[name]}
    return [
        Sample(
            SpokenWords.section,
            (("asked", each.prompt), *((label, own[number]) for label, own in lines.items())),
            tuple(
                SoundPanel(label, Waveform(own_NAT[number], shape.rate))
                for label, own_NAT in sounds.items()
            ),
        )
        for number, each in enumerate(asked)
    ]
