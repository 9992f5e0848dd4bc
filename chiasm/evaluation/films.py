"""Films: how held-out clips go on behind their first frames, beside baselines.

Shape suffixes: N clips, T frames of each, A channels of a sound, S samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chiasm.documents import Image, Sound, Source
from chiasm.evaluation.clips import Clips, ClipSettings, cut_clips, training_items
from chiasm.evaluation.evaluation import Findings, HorizonPoint, Sample, SoundPanel, Strip
from chiasm.evaluation.horizons import ViewsAhead, frames_ahead
from chiasm.evaluation.listening import DISTANCE, TrueSounds
from chiasm.evaluation.material import spread
from chiasm.evaluation.measure import NO_DECODER, Measure
from chiasm.evaluation.pictures import Truth, where
from chiasm.evaluation.rows import Row
from chiasm.evaluation.strangers import NOBODY, strangers

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run

LAST, RAW_LAST = "last given frame, decoded", "raw last given frame"
MEAN, SHUFFLED = "mean training frame", "shuffled captions"
LAST_SOUND, MEAN_SOUND = "last given sound, decoded", "mean sound"


class ImaginedFilms(Measure[ClipSettings]):
    """PSNR, SSIM, feature and perceptual distance of the frames that are imagined behind those of a
    clip, and log-mel distance of what is heard at them.

    All horizons are measured on the same clips.
    """

    section = "clip"
    settings = ClipSettings
    baselines = (
        "Of a held-out clip evaluation.history_frames frames are given, behind its caption where "
        "it has one; each further frame, and what is heard at it, is imagined from what comes "
        "before it. Imagined frames and sounds have passed the tokenizers' decoders, so the like "
        "baselines are the last given ones, decoded; the raw last frame is shown too. The mean "
        "training frame is the mean picture of as many training clips, and the mean sound their "
        "mean log-mel spectrum. Shuffled captions: the same frames and the same noise behind the "
        "caption of another file."
    )
    heading = "How films go on"
    lead = (
        "Frames of held-out clips, and below them those that the model imagines behind the first "
        "ones, one after the other."
    )

    def applies(self, run: Run[ClipSettings]) -> str:
        """Returns the reason why clips are not continued; empty where there are none."""
        return "" if run.pretrained.draws or not run.material.clips() else NO_DECODER

    def measure(self, run: Run[ClipSettings]) -> Findings:
        """Returns the findings on each source of clips."""
        sources = run.material.clips() if run.settings.clips else {}
        return self.by_source(sources, lambda name, each, of: self._of(run, name, each, of))

    def _of(self, run: Run[ClipSettings], name: str, source: Source, of: str) -> Findings:
        clips, horizons = cut_clips(run, source)
        others_N = strangers(clips.clusters, clips.captions, run.settings.seed)
        skipped, given, sampling = {}, run.settings.history_frames, run.settings.imagining
        imagined, shuffled = clips.imagine(run, clips.captions, given, sampling), None
        if (others_N != NOBODY).any():
            captions = [clips.captions[other] for other in others_N.tolist()]
            shuffled = clips.imagine(run, captions, given, sampling)
        elif clips.told:
            skipped[f"{self.section}, {SHUFFLED}{of}"] = "captions are of one file alone"
        made = _Continued(run, clips, imagined, shuffled, others_N != NOBODY, horizons, of)
        training = training_items(run, run.material.train[name])
        frames = [run.fitted(item) for item in training if isinstance(item, Image)]
        points = [*made.points(np.mean(frames, axis=0).round().astype(np.uint8))]
        rows = [*(point.row for point in points), *made.ceilings()]
        if clips.sounding:
            sounds = [item for item in training if isinstance(item, Sound)]
            rows += made.sound_rows(sounds)
        return Findings(rows, [*made.samples()], points, skipped)


@dataclass(frozen=True)
class _Continued:
    """Clips, and how they go on."""

    run: Run[ClipSettings]
    clips: Clips
    imagined: Clips
    shuffled: Clips | None
    """The same behind captions of other files."""
    others_N: np.ndarray
    """Whether there is another caption: bool."""
    horizons: Sequence[int]
    of: str

    def points(self, mean: np.ndarray) -> Iterator[HorizonPoint]:
        """Yields the likeness of frames at each horizon; ``mean`` is the mean training frame."""
        frames, given = self.clips.frames, self.run.settings.history_frames
        last = frames[:, given - 1]
        still = {LAST: self.run.through_tokenizer(last), RAW_LAST: last}
        still[MEAN] = np.broadcast_to(mean, last.shape)
        for ahead in self.horizons:
            truth = Truth(self.run, frames[:, given - 1 + ahead])
            likeness = {"": truth.likeness(self.imagined.frames[:, ahead - 1])}
            likeness |= {baseline: truth.likeness(each) for baseline, each in still.items()}
            if self.shuffled is not None:
                found = truth.likeness(self.shuffled.frames[:, ahead - 1])
                likeness[SHUFFLED] = where(self.others_N, found)
            yield from self._views_ahead.points(
                likeness, ahead, self.horizons, self.of, ("feature distance",)
            )

    def ceilings(self) -> Iterator[Row]:
        """Yields the likeness of the first true frame through the tokenizer."""
        first = self.clips.frames[:, self.run.settings.history_frames]
        likeness = Truth(self.run, first).likeness(self.run.through_tokenizer(first))
        return self._views_ahead.ceilings(likeness, 1, self.of)

    def sound_rows(self, training: Sequence[Sound]) -> Iterator[Row]:
        """Yields the distance of what is heard at each horizon, and that of the truth, decoded."""
        measure = self.run.measurement(ImaginedFilms.section, "dB", "lower", self.clips.clusters)
        given = self.run.settings.history_frames
        for ahead in self.horizons:
            truth = TrueSounds(self.run, self.clips.heard(given - 1 + ahead))
            before_NAS = truth.read(self.clips.heard(given - 1))
            beside = {LAST_SOUND: truth.distance(truth.decoded(before_NAS))}
            beside[MEAN_SOUND] = truth.mean_distance(training)
            if self.shuffled is not None:
                found = truth.distance(truth.read(self.shuffled.heard(ahead - 1)))
                beside[SHUFFLED] = np.where(self.others_N, found, np.nan)
            own = truth.distance(truth.read(self.imagined.heard(ahead - 1)))
            title = f"{DISTANCE} of the imagined sound {frames_ahead(ahead)}{self.of}"
            yield from measure.rows(title, own, beside)
            if ahead == 1:
                title = (
                    f"{DISTANCE} of the true sound {frames_ahead(1)}{self.of}, decoded: the ceiling"
                )
                yield measure.row(title, truth.distance(truth.through_tokenizer))

    def samples(self) -> Iterator[Sample]:
        """Yields clips as rows of frames: the truth, the last given one, imagined, and drawn."""
        run, given = self.run, self.run.settings.history_frames
        chosen = spread(len(self.clips), run.settings.shown).tolist()
        true, imagined = self.clips.select(chosen), self.imagined.select(chosen)
        last = run.through_tokenizer(true.frames[:, given - 1])
        drawn = true.imagine(run, true.captions, 0, run.settings.drawing) if true.told else None
        for number in range(len(chosen)):
            nothing = [None] * given
            stays = [last[number]] * imagined.frames.shape[1]
            panels: list[Strip | SoundPanel] = [
                Strip.of(f"truth; the first {given} are given", true.frames[number]),
                Strip.of(LAST, [*nothing, *stays]),
                Strip.of("imagined", [*nothing, *imagined.frames[number]]),
            ]
            if drawn is not None:
                panels.append(Strip.of("drawn from the caption alone", drawn.frames[number]))
            if true.sounding:
                panels.append(_joined("heard then", run, true.sounds(number)[given:]))
                panels.append(_joined("imagined", run, imagined.sounds(number)))
            words = true.captions[number].partition(":")[2].strip()
            yield Sample(ImaginedFilms.section, (("", words),) if words else (), tuple(panels))

    @property
    def _views_ahead(self) -> ViewsAhead:
        headlines = (LAST, SHUFFLED)
        return ViewsAhead(self.run, ImaginedFilms.section, self.clips.clusters, headlines)


def _joined(label: str, run: Run[ClipSettings], sounds: Sequence[Sound]) -> SoundPanel:
    """Returns sounds one after another."""
    read = TrueSounds(run, sounds)
    return read.panel(label, np.concatenate([*read.samples_NAT], axis=1))
