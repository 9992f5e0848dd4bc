"""From a picture to its sound, and from a sound to its picture.

Shape suffixes: N items, A channels, T samples, H and W height and width of pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from chiasm.capabilities import Sounding
from chiasm.data.reading import ReadingLog
from chiasm.documents import Continuous, Image, Sound, Source, Text
from chiasm.evaluation.evaluation import Findings, Panel, Sample
from chiasm.evaluation.listening import DISTANCE, PROBE_SOUNDS, SingleSounds, TrueSounds
from chiasm.evaluation.material import NothingToMeasure, cluster_of, picked, spread
from chiasm.evaluation.measure import Measure
from chiasm.evaluation.pictures import LIKENESS, Truth, psnr
from chiasm.evaluation.rows import Row
from chiasm.evaluation.shared import MeasureSettings
from chiasm.evaluation.strangers import NOBODY, strangers
from chiasm.sound.settings import SOUND

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run

SHUFFLED_PICTURES, SHUFFLED_SOUNDS, MEAN = "shuffled pictures", "shuffled sounds", "mean sound"
MEAN_SOUNDS = 1000
"""Training sounds whose mean is a baseline."""
_LOOKED_AT = 4
"""Documents that are looked for to see whether a source has any."""
_MEASURES = ("PSNR", "feature distance")


class CrossingSettings(MeasureSettings):
    """How many sounds are made from pictures, and pictures drawn from sounds."""

    crossings: int = Field(200, ge=2)
    """Held-out pictures whose sounds are made, and sounds whose pictures are drawn."""


@dataclass(frozen=True)
class Crossing:
    """A document [item, Text, item] that asks for an item of another stream."""

    number: int
    prompt: tuple[Continuous, Text]
    item: Continuous
    cluster: int


class PictureToSound(Measure[CrossingSettings]):
    """Distance of sounds that are made from pictures, and what probes hear in them."""

    section = "picture to sound"
    settings = CrossingSettings
    baselines = (
        "A sound is made from a held-out picture and compared with what is heard there: the root "
        "mean square difference of log-mel spectra, in decibels. Shuffled pictures: the same model "
        "and noise with a picture of another map. The mean sound is the mean log-mel spectrum of "
        "training sounds, the nearest guess that knows nothing of the picture. What is made has "
        "passed the tokenizer's decoder; the true sounds, decoded, are the ceiling. Where one "
        "sound alone is heard, and the source knows which, a linear probe of the tokenizer's "
        "latents, fitted on real training sounds, says what it hears in the sound that was made."
    )
    heading = "What it hears in a picture"
    lead = "Sounds made from held-out pictures, beside what is heard there."

    def measure(self, run: Run[CrossingSettings]) -> Findings:
        """Returns the findings on each source that asks for a sound after a picture."""
        return _measured(run, self, Image, Sound, partial(self._of, run))

    def _of(self, run: Run[CrossingSettings], name: str, source: Source, of: str) -> Findings:
        train = run.material.train[name]
        items, made, wrong = _crossed(run, source, Image, Sound)
        truth = TrueSounds(run, [each.item for each in items])
        made_NAT, wrong_NAT = truth.read(made), truth.read(wrong)
        log = ReadingLog(run.pretrained.tokenizers)
        training = crossings(train, Image, Sound, MEAN_SOUNDS, log)
        beside = {SHUFFLED_PICTURES: truth.distance(wrong_NAT)}
        if training:
            beside[MEAN] = truth.mean_distance([each.item for each in training])
        clusters = np.array([each.cluster for each in items])
        measure = run.measurement(self.section, "dB", "lower", clusters)
        title = f"{DISTANCE} of the sound made from a picture{of}"
        rows = measure.rows(title, truth.distance(made_NAT), beside, (SHUFFLED_PICTURES,))
        ceiling = truth.distance(truth.through_tokenizer)
        rows.append(measure.row(f"{DISTANCE} of the true sound{of}, decoded: the ceiling", ceiling))
        facts: list[Mapping[str, str]] = [{} for _ in items]
        if isinstance(source, Sounding) and isinstance(train, Sounding):
            facts = [source.heard(source.frame_of(each.number)) for each in items]
            heard = SingleSounds([each.item for each in items], facts, clusters)
            rows += self._recognized(run, train, heard, truth, (made_NAT, wrong_NAT), of)
        samples = [
            Sample(
                self.section,
                (("heard", ", ".join(facts[n].values())),) if facts[n] else (),
                (
                    _panel("given", run, items[n].prompt[0]),
                    truth.panel("made", made_NAT[n]),
                    truth.panel("truth, decoded", truth.through_tokenizer[n]),
                    truth.panel("truth", truth.samples_NAT[n]),
                ),
            )
            for n in spread(len(items), run.settings.shown).tolist()
        ]
        return Findings(rows, samples)

    def _recognized(
        self,
        run: Run[CrossingSettings],
        train: Sounding,
        heard: SingleSounds,
        truth: TrueSounds,
        made: tuple[np.ndarray, np.ndarray],
        of: str,
    ) -> list[Row]:
        """Returns rows of what probes find in sounds made of the right and of another picture."""
        known = SingleSounds.of(train, PROBE_SOUNDS)
        probes = known.probes(truth.features(truth.read(known.sounds)))
        all_sounds = (*made, truth.samples_NAT, truth.through_tokenizer)
        features = [truth.features(each_NAT) for each_NAT in all_sounds]
        rows: list[Row] = []
        for name, probe in probes.items():
            clusters = heard.clusters[heard.knowing(name)]
            if not len(clusters):
                continue
            own, other, real, through = (heard.found(name, probe, each) for each in features)
            measure = run.measurement(self.section, "share", "higher", clusters)
            title = f"{name} of the only sound is found in the sound made from a picture{of}"
            rows.append(measure.row(title, own, other, SHUFFLED_PICTURES, headline=True))
            title = f"the probe's own accuracy, {name}{of}"
            rows.append(measure.row(f"{title}, real held-out sounds", real))
            rows.append(measure.row(f"{title}, through the tokenizer", through))
        return rows


class SoundToPicture(Measure[CrossingSettings]):
    """Likeness of pictures that are drawn from sounds to what is seen there."""

    section = "sound to picture"
    settings = CrossingSettings
    baselines = (
        "A picture is drawn from a held-out sound and compared with what is seen there. A sound "
        "leaves most of it open: walls are silent. Shuffled sounds: the same model and noise with "
        "a sound of another map."
    )
    heading = "What it sees in a sound"
    lead = "Pictures drawn from held-out sounds, beside what is seen there."

    def measure(self, run: Run[CrossingSettings]) -> Findings:
        """Returns the findings on each source that asks for a picture after a sound."""
        return _measured(run, self, Sound, Image, partial(self._of, run))

    def _of(self, run: Run[CrossingSettings], name: str, source: Source, of: str) -> Findings:
        items, made, wrong = _crossed(run, source, Sound, Image)
        drawn, shuffled, true = (
            np.stack([run.fitted(each) for each in pictures if isinstance(each, Image)])
            for pictures in (made, wrong, [each.item for each in items])
        )
        truth, through = Truth(run, true), run.through_tokenizer(true)
        given = TrueSounds(run, [each.prompt[0] for each in items])
        own, beside = truth.likeness(drawn, _MEASURES), truth.likeness(shuffled, _MEASURES)
        clusters = np.array([each.cluster for each in items])
        rows: list[Row] = []
        for name in _MEASURES:
            measure = run.measurement(self.section, *LIKENESS[name], clusters)
            title = f"{name} of the picture drawn from a sound{of}"
            rows.append(measure.row(title, own[name], beside[name], SHUFFLED_SOUNDS))
        title = f"PSNR of the true picture{of}, decoded: the ceiling"
        rows.append(
            run.measurement(self.section, *LIKENESS["PSNR"], clusters).row(
                title, psnr(through, true)
            )
        )
        samples = [
            Sample(
                self.section,
                (),
                (
                    given.panel("given", given.samples_NAT[n]),
                    Panel("drawn", drawn[n]),
                    Panel("truth, decoded", through[n]),
                    Panel("truth", true[n]),
                ),
            )
            for n in spread(len(items), run.settings.shown).tolist()
        ]
        return Findings(rows, samples)


def crossings(
    source: Source, given: type[Continuous], asked: type[Continuous], count: int, log: ReadingLog
) -> list[Crossing]:
    """Returns at most ``count`` of a source's documents that ask for ``asked`` after ``given``."""
    found: list[Crossing] = []
    # Half of a source's documents may ask the other way round.
    for number, document in log.documents(source, picked(source, 4 * count).tolist()):
        match document.spans:
            case (Continuous() as first, Text() as words, Continuous() as last):
                fits = isinstance(first, given) and isinstance(last, asked)
                if fits and last.target and not first.target:
                    cluster = cluster_of(source, number, document)
                    found.append(Crossing(number, (first, words), last, cluster))
    return [found[place] for place in spread(len(found), count).tolist()] if found else []


def _measured(
    run: Run[CrossingSettings],
    measure: Measure[CrossingSettings],
    given: type[Continuous],
    asked: type[Continuous],
    of_source: Callable[[str, Source, str], Findings],
) -> Findings:
    """Returns the findings on each source that asks for ``asked`` after ``given``, or why there are
    none; nothing of a model without sounds.
    """
    from chiasm.inference.sounds import sound_shape

    if SOUND not in run.pretrained.tokenizers:
        return Findings()
    if sound_shape(run.pretrained) is None or (asked is Image and not run.pretrained.draws):
        return Findings(skipped={measure.section: "there is no decoder, so nothing can be made"})
    sources = {
        name: source
        for name, source in run.material.held_out.items()
        if crossings(source, given, asked, _LOOKED_AT, ReadingLog())
    }
    why = (
        "no source asks for one of picture and sound after the other; one that does is "
        "stream.sources.NAME.kind = 'world' with task = 'image_sound'"
    )
    if not sources:
        return Findings(skipped={measure.section: why})
    return measure.by_source(sources, of_source)


def _crossed(
    run: Run[CrossingSettings], source: Source, given: type[Continuous], asked: type[Continuous]
) -> tuple[list[Crossing], list[Continuous], list[Continuous]]:
    """Returns documents that ask for an item, what the model makes after their prompts, and what it
    makes with the same noise after those of other maps or walks.

    Raises:
        NothingToMeasure: all documents are of one map or walk.
    """
    from chiasm.inference.tasks import generate_items

    items = crossings(source, given, asked, run.settings.crossings, run.log)
    seed = run.settings.seed
    others = strangers([each.cluster for each in items], range(len(items)), seed)
    if (others == NOBODY).any():
        raise NothingToMeasure("all held-out pictures with sounds are of one map; hold out more")
    stream, sampling = items[0].item.stream, run.settings.drawing
    made, wrong = (
        generate_items(run.sampler, prompts, stream, settings=sampling, seed=seed)
        for prompts in (
            [each.prompt for each in items],
            [items[other].prompt for other in others.tolist()],
        )
    )
    return items, made, wrong


def _panel(label: str, run: Run[CrossingSettings], item: Continuous) -> Panel:
    assert isinstance(item, Image)
    return Panel(label, run.fitted(item))
