"""Caption → picture: do probes find in the drawn picture what the caption names?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.capabilities import Described
from chiasm.data.reading import ReadingLog
from chiasm.documents import Image, Source
from chiasm.evaluation.evaluation import Findings, Panel, Sample
from chiasm.evaluation.material import asked_picture, picked, spread
from chiasm.evaluation.probes import Probe
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.pictures import features, fitted, through_tokenizer
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.tasks import draw
from chiasm.rgb import ImageShape
from chiasm.tokenizers.tokenizer import Tokenizer

SECTION = "caption to picture"
CAPTIONED = "shuffled captions"


@dataclass(frozen=True)
class _Truth:
    """Frames of one side and what they show."""

    pictures: np.ndarray
    facts: list[dict[str, str]]
    clusters: np.ndarray


@dataclass(frozen=True)
class _Reading:
    """What a probe reads of one attribute, beside what the captions name: str [N] each."""

    attribute: str
    named: np.ndarray
    drawn: np.ndarray
    real: np.ndarray
    through: np.ndarray


def measure_drawings(
    pretrained: Pretrained,
    sources: tuple[Described, Described],
    settings: EvaluationSettings,
    judge: Tokenizer | None = None,
) -> Findings:
    """Rows for each attribute that captions name, and the first drawn pictures.

    Probes read through ``judge``, or through the model's own tokenizer where there is none.
    """
    train, held_out = sources
    captions, frames = _asked(held_out, settings.drawings)
    drawn = _draw(pretrained, captions, settings)
    shape = pretrained.vision_tokenizer.image_shape
    clear = train.clear_frames[spread(len(train.clear_frames), settings.probe_frames)]
    truth = _truth(held_out, frames, shape)
    probes = _fit_probes(pretrained, _truth(train, clear, shape), judge)
    through = through_tokenizer(pretrained, truth.pictures)
    seen = [features(pretrained, each, judge) for each in (drawn, truth.pictures, through)]
    readings = [
        _Reading(
            attribute,
            np.array([facts[attribute] for facts in truth.facts]),
            *(probe.predict(features_NF) for features_NF in seen),
        )
        for attribute, probe in probes.items()
    ]
    other_NN = _others(truth)
    skipped = {}
    if not other_NN.any():
        skipped[f"{SECTION}, {CAPTIONED}"] = (
            "no caption of another held-out map names anything else; hold out more maps"
        )
    rows = _rows(readings, truth.clusters, other_NN, settings.seed)
    samples = [
        _sample(words, *pictures)
        for words, *pictures in zip(captions, drawn, truth.pictures, through, strict=True)
    ]
    shown = samples[:: max(1, len(samples) // settings.shown)][: settings.shown]
    return Findings(rows, shown, skipped=skipped)


def sample_drawings(
    pretrained: Pretrained,
    source: Source,
    settings: EvaluationSettings,
    log: ReadingLog | None = None,
) -> list[Sample]:
    """Pictures drawn for the captions of a source without ground truth; none without captions."""
    pairs = _captioned(source, settings.shown, log or ReadingLog())
    if not pairs:
        return []
    drawn = _draw(pretrained, [words for words, _ in pairs], settings)
    shape = pretrained.vision_tokenizer.image_shape
    truth = np.stack([fitted(image, shape) for _, image in pairs])
    through = through_tokenizer(pretrained, truth)
    return [
        _sample(words, *pictures)
        for (words, _), *pictures in zip(pairs, drawn, truth, through, strict=True)
    ]


def _draw(pretrained: Pretrained, captions: list[str], settings: EvaluationSettings) -> np.ndarray:
    """One picture for each caption: uint8 [N, H, W, 3]."""
    sampling = SamplingSettings(
        steps=settings.steps, guidance=settings.guidance, rows_at_once=settings.rows_per_batch
    )
    return np.stack(draw(Sampler(pretrained), captions, settings=sampling, seed=settings.seed))


def _captioned(source: Source, count: int, log: ReadingLog) -> list[tuple[str, Image]]:
    """Evenly spread (caption, picture) pairs among the documents that ask for a picture."""
    numbers = spread(len(source), 4 * count)
    documents = log.documents(source, numbers.tolist())
    pairs = [pair for _, document in documents if (pair := asked_picture(document))]
    return [pairs[number] for number in spread(len(pairs), count)] if pairs else []


def _asked(source: Described, count: int) -> tuple[list[str], np.ndarray]:
    """Held-out captions that ask for a picture, and the frames that they were written for."""
    captions: list[str] = []
    frames: list[int] = []
    for number in picked(source, 4 * count).tolist():
        pair = asked_picture(source[number])
        if pair is not None and len(captions) < count:
            captions.append(pair[0])
            frames.append(source.frame_of(number))
    return captions, np.array(frames)


def _truth(source: Described, frames: np.ndarray, shape: ImageShape) -> _Truth:
    numbers = frames.tolist()
    pictures = np.stack([fitted(source.picture(number), shape) for number in numbers])
    facts = [dict(source.facts(number)) for number in numbers]
    return _Truth(pictures, facts, np.array([source.place_of(number) for number in numbers]))


def _fit_probes(pretrained: Pretrained, truth: _Truth, judge: Tokenizer | None) -> dict[str, Probe]:
    features_NF = features(pretrained, truth.pictures, judge)
    probes = {}
    for attribute in truth.facts[0]:
        labels = [facts[attribute] for facts in truth.facts]
        if len(set(labels)) > 1:
            probes[attribute] = Probe.fit(features_NF, labels, truth.clusters)
    return probes


def _rows(
    readings: list[_Reading], clusters: np.ndarray, other_NN: np.ndarray, seed: int
) -> list[Row]:
    """All attributes together, each alone, then the probes' own accuracies."""
    measure = Measurement(SECTION, "share", "higher", seed, clusters)
    own = {reading.attribute: reading.drawn == reading.named for reading in readings}
    other: dict[str, np.ndarray | None] = dict.fromkeys(own)
    all_others = None
    if other_NN.any():
        shuffled = {
            each.attribute: _shuffled(each.drawn, each.named, other_NN) for each in readings
        }
        other, all_others = {**shuffled}, np.mean(list(shuffled.values()), axis=0)
    rows = [
        measure.row(
            "what the caption names is found in the drawn picture",
            np.mean(list(own.values()), axis=0),
            all_others,
            CAPTIONED,
            headline=bool(other_NN.any()),
        )
    ]
    for attribute in own:
        name = f"the {attribute} that the caption names is found in the drawn picture"
        rows.append(measure.row(name, own[attribute], other[attribute], CAPTIONED))
    for each in readings:
        name = f"the probe's own accuracy, {each.attribute}"
        rows.append(measure.row(f"{name}, real held-out frames", each.real == each.named))
        rows.append(measure.row(f"{name}, through the tokenizer", each.through == each.named))
    return rows


def _others(truth: _Truth) -> np.ndarray:
    """bool [N, N]: which captions come from another map than each, and name something else."""
    clusters = np.asarray(truth.clusters)
    named = np.array([repr(sorted(facts.items())) for facts in truth.facts])
    return (clusters[:, None] != clusters[None, :]) & (named[:, None] != named[None, :])


def _shuffled(found: np.ndarray, named: np.ndarray, other_NN: np.ndarray) -> np.ndarray:
    """For each caption: the share of other captions' pictures that happen to show what it names.

    This is the mean over all shuffles that give it another's picture; nan where there is no other.
    """
    matches_NN = named[:, None] == found[None, :]
    count_N = other_NN.sum(1)
    return np.where(count_N, (matches_NN & other_NN).sum(1) / np.maximum(count_N, 1), np.nan)


def _sample(words: str, drawn: np.ndarray, truth: np.ndarray, through: np.ndarray) -> Sample:
    panels = (Panel("drawn", drawn), Panel("truth, decoded", through), Panel("truth", truth))
    return Sample(SECTION, (("caption", words),), panels)
