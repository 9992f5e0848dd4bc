"""Caption → image: probes look in the drawn image for what the caption names.

Shape suffixes: N captions, each with its images, F features of one image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from chiasm.capabilities import Described
from chiasm.documents import Image, Source
from chiasm.evaluation.evaluation import Findings, Panel, Sample
from chiasm.evaluation.material import asked_picture, picked, spread
from chiasm.evaluation.measure import NO_DECODER, Measure
from chiasm.evaluation.pictures import open_reference_encoder
from chiasm.evaluation.probes import Probe
from chiasm.evaluation.rows import Row
from chiasm.evaluation.shared import MeasureSettings

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run
    from chiasm.tokenizers.tokenizer import Tokenizer

CAPTIONED = "shuffled captions"
NO_TRUTH = (
    "no source knows what its pictures show; one that does is stream.sources.NAME.kind = 'world' "
    "with task = 'image_text'"
)


class DrawingSettings(MeasureSettings):
    """How many pictures are drawn, and how they are read."""

    probe_frames: int = Field(4000, ge=8)
    """Real training frames that the probes are fitted on."""
    reference_encoder: str = Field("own", min_length=1)
    """Through whose latents probes read pictures: those of the run's own tokenizer, or of another
    one, as ``streams.image.path`` names it, so that runs with different tokenizers are read
    alike."""
    drawings: int = Field(200, ge=2)
    """Pictures drawn from held-out captions."""


@dataclass(frozen=True)
class _Truth:
    """Frames of one split and their ground truth."""

    pictures: np.ndarray
    facts: list[dict[str, str]]
    clusters: np.ndarray


@dataclass(frozen=True)
class _Reading:
    """A probe's predictions of one attribute, beside the captions' own values: str [N] each."""

    attribute: str
    named: np.ndarray
    drawn: np.ndarray
    real: np.ndarray
    through: np.ndarray


class Drawings(Measure[DrawingSettings]):
    """Share of captions' attributes that probes find in the images drawn from them.

    For sources without ground truth it shows drawn images only.
    """

    section = "caption to picture"
    settings = DrawingSettings
    baselines = (
        "A linear probe, trained on frozen tokenizer features of real training frames with the "
        "world's ground truth, reads a drawn picture; it counts when it finds what the caption "
        "names. Shuffled captions: the same pictures held against captions of other maps that "
        "name something else. The probe's own accuracy on real held-out frames, raw and through "
        "the tokenizer, is listed with it, and is the ceiling."
    )
    heading = "What it draws"
    lead = (
        "Pictures drawn from captions that training never saw. A caption leaves much open, "
        "so the truth is one of many right pictures; the truth through the tokenizer is the "
        "sharpest that this model could draw."
    )
    overview = "Drawn from a held-out caption"

    def check(self, settings: DrawingSettings) -> None:
        """Checks that the reference encoder is there."""
        open_reference_encoder(settings.reference_encoder)

    def applies(self, run: Run[DrawingSettings]) -> str:
        """Returns the reason why nothing can be drawn; empty if it can."""
        return "" if run.pretrained.draws else NO_DECODER

    def measure(self, run: Run[DrawingSettings]) -> Findings:
        """Returns rows for each attribute that captions name, and the first drawn images."""
        sources = run.material.described()
        if sources is not None:
            return self._measured(run, *sources)
        every = run.material.held_out.values()
        samples = [each for source in every for each in _shown(run, source)]
        return Findings(samples=samples, skipped={self.section: NO_TRUTH})

    def _measured(
        self, run: Run[DrawingSettings], train: Described, held_out: Described
    ) -> Findings:
        captions, frames = asked_captions(held_out, run.settings.drawings)
        drawn, reference_encoder = (
            draw_captions(run, captions),
            open_reference_encoder(run.settings.reference_encoder),
        )
        truth = truth_of(run, held_out, frames)
        probes = fit_probes(run, train, reference_encoder)
        through = run.through_tokenizer(truth.pictures)
        seen = [run.features(each, reference_encoder) for each in (drawn, truth.pictures, through)]
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
            skipped[f"{self.section}, {CAPTIONED}"] = (
                "no caption of another held-out map names anything else; hold out more maps"
            )
        samples = [
            _sample(words, *pictures)
            for words, *pictures in zip(captions, drawn, truth.pictures, through, strict=True)
        ]
        # From all drawings, not from the first maps alone.
        shown = samples[:: max(1, len(samples) // run.settings.shown)][: run.settings.shown]
        return Findings(_rows(run, readings, truth.clusters, other_NN), shown, skipped=skipped)


def _shown(run: Run[DrawingSettings], source: Source) -> list[Sample]:
    """Returns samples of images drawn for a source's captions, without ground truth."""
    pairs = _captioned(run, source)
    if not pairs:
        return []
    drawn = draw_captions(run, [words for words, _ in pairs])
    truth = np.stack([run.fitted(image) for _, image in pairs])
    through = run.through_tokenizer(truth)
    return [
        _sample(words, *pictures)
        for (words, _), *pictures in zip(pairs, drawn, truth, through, strict=True)
    ]


def draw_captions(run: Run[DrawingSettings], captions: list[str]) -> np.ndarray:
    """Returns one image per caption: uint8 [N, H, W, 3]."""
    from chiasm.inference.tasks import draw

    settings = run.settings
    return np.stack(draw(run.sampler, captions, settings=settings.drawing, seed=settings.seed))


def _captioned(run: Run[DrawingSettings], source: Source) -> list[tuple[str, Image]]:
    """Returns evenly spread (caption, image) pairs of the documents that ask for an image."""
    count = run.settings.shown
    numbers = spread(len(source), 4 * count)
    documents = run.log.documents(source, numbers.tolist())
    pairs = [pair for _, document in documents if (pair := asked_picture(document))]
    return [pairs[number] for number in spread(len(pairs), count)] if pairs else []


def asked_captions(source: Described, count: int) -> tuple[list[str], np.ndarray]:
    """Returns held-out captions that ask for an image, and the frames that they describe."""
    captions: list[str] = []
    frames: list[int] = []
    for number in picked(source, 4 * count).tolist():
        pair = asked_picture(source[number])
        if pair is not None and len(captions) < count:
            captions.append(pair[0])
            frames.append(source.frame_of(number))
    return captions, np.array(frames)


def truth_of(run: Run[DrawingSettings], source: Described, frames: np.ndarray) -> _Truth:
    """Returns frames of a source, at the model's size, with what is known of them."""
    numbers = frames.tolist()
    pictures = np.stack([run.fitted(source.picture(number)) for number in numbers])
    facts = [dict(source.facts(number)) for number in numbers]
    return _Truth(pictures, facts, np.array([source.place_of(number) for number in numbers]))


def fit_probes(
    run: Run[DrawingSettings], train: Described, reference_encoder: Tokenizer | None
) -> dict[str, Probe]:
    """Returns a probe of each attribute that varies, fitted on real training frames."""
    clear = train.clear_frames[spread(len(train.clear_frames), run.settings.probe_frames)]
    truth = truth_of(run, train, clear)
    features_NF = run.features(truth.pictures, reference_encoder)
    probes = {}
    for attribute in truth.facts[0]:
        labels = [facts[attribute] for facts in truth.facts]
        if len(set(labels)) > 1:
            probes[attribute] = Probe.fit(features_NF, labels, truth.clusters)
    return probes


def _rows(
    run: Run[DrawingSettings], readings: list[_Reading], clusters: np.ndarray, other_NN: np.ndarray
) -> list[Row]:
    """Returns rows of all attributes together, of each alone, and of the probes' own accuracies."""
    measure = run.measurement(Drawings.section, "share", "higher", clusters)
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
    """Returns which captions come from another map and name something else: bool [N, N]."""
    clusters = np.asarray(truth.clusters)
    named = np.array([repr(sorted(facts.items())) for facts in truth.facts])
    return (clusters[:, None] != clusters[None, :]) & (named[:, None] != named[None, :])


def _shuffled(found: np.ndarray, named: np.ndarray, other_NN: np.ndarray) -> np.ndarray:
    """Returns, for each caption, the share of other captions' images that show what it names.

    This is the mean over all shuffles that assign another caption's image; nan where there is none.
    """
    matches_NN = named[:, None] == found[None, :]
    count_N = other_NN.sum(1)
    return np.where(count_N, (matches_NN & other_NN).sum(1) / np.maximum(count_N, 1), np.nan)


def _sample(words: str, drawn: np.ndarray, truth: np.ndarray, through: np.ndarray) -> Sample:
    panels = (Panel("drawn", drawn), Panel("truth, decoded", through), Panel("truth", truth))
    return Sample(Drawings.section, (("caption", words),), panels)
