"""Clips: how films go on behind their first frames, beside baselines.

A clip is a document of frames behind a text, each alone or with what is heard at it. The frames
behind the first ``history_frames`` are imagined one after the other, and what is heard between them
too; where there are captions, whole clips are also drawn from them alone.

Shape suffixes: N clips, T frames of each, H and W height and width of a frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from chiasm.data.reading import ReadingLog
from chiasm.documents import Continuous, Document, Image, Source, Span, Text
from chiasm.evaluation.evaluation import Findings, HorizonPoint, Sample, Strip
from chiasm.evaluation.horizons import ViewsAhead
from chiasm.evaluation.material import NothingToMeasure, cluster_of, is_clip, picked, spread
from chiasm.evaluation.measure import NO_DECODER, Measure
from chiasm.evaluation.pictures import Truth, where
from chiasm.evaluation.shared import HorizonSettings
from chiasm.evaluation.strangers import NOBODY, strangers

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run
    from chiasm.inference.request import SamplingSettings

LAST, RAW_LAST = "last given frame, decoded", "raw last given frame"
MEAN, SHUFFLED = "mean training frame", "shuffled captions"


class ClipSettings(HorizonSettings):
    """How many films are continued."""

    clips: int = Field(32, ge=0)
    """Held-out clips of each source that are continued behind their first frames; 0 leaves clips
    out."""


class ImaginedClips(Measure[ClipSettings]):
    """PSNR, SSIM and feature distance of the frames that are imagined behind those of a clip.

    All horizons are measured on the same clips.
    """

    section = "clip"
    settings = ClipSettings
    baselines = (
        "Of a held-out clip evaluation.history_frames frames are given, behind its caption where "
        "it has one; each further frame, and what is heard between frames, is imagined from what "
        "comes before it. Imagined frames have passed the tokenizer's decoder, so the like "
        "baseline is the last given frame, decoded; the raw one is shown too. The mean training "
        "frame is the mean picture of as many training clips. Shuffled captions: the same frames "
        "and the same noise behind the caption of another file."
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
        clips = _cut(run, source)
        history, captions = clips.history, clips.captions
        imagined = _imagine(run, clips, captions, history, run.settings.imagining)
        last, mean = clips.frames[:, history - 1], _mean_frame(run, run.material.train[name])
        still = {LAST: run.through_tokenizer(last), RAW_LAST: last}
        still[MEAN] = np.broadcast_to(mean, last.shape)
        others_N = strangers(clips.clusters, captions, run.settings.seed)
        skipped, shuffled = {}, None
        if (others_N != NOBODY).any():
            wrong = [captions[other] for other in others_N.tolist()]
            shuffled = _imagine(run, clips, wrong, history, run.settings.imagining)
        elif clips.told:
            skipped[f"{self.section}, {SHUFFLED}{of}"] = "captions are of one file alone"
        ahead_of = ViewsAhead(run, self.section, clips.clusters, (LAST, SHUFFLED))
        points: list[HorizonPoint] = []
        for ahead in clips.horizons:
            truth = Truth(run, clips.frames[:, history - 1 + ahead])
            likeness = {"": truth.likeness(imagined[:, ahead - 1])}
            likeness |= {baseline: truth.likeness(each) for baseline, each in still.items()}
            if shuffled is not None:
                found = truth.likeness(shuffled[:, ahead - 1])
                likeness[SHUFFLED] = where(others_N != NOBODY, found)
            points += ahead_of.points(likeness, ahead, clips.horizons, of)
        first = clips.frames[:, history]
        ceiling = Truth(run, first).likeness(run.through_tokenizer(first))
        rows = [*(point.row for point in points), *ahead_of.ceilings(ceiling, 1, of)]
        return Findings(rows, [*_samples(run, clips, imagined, still[LAST])], points, skipped)


@dataclass(frozen=True)
class Clips:
    """N clips of T frames, whose items come in one order of streams."""

    captions: list[str]
    """Text before the frames of each."""
    items: list[list[Continuous]]
    """Frames of each, at the model's size, and what is heard at them."""
    clusters: np.ndarray
    """File of each, int64 [N]."""
    history: int
    """Frames that are given."""
    horizons: list[int]
    """Frames ahead that are measured, in order; the last one is T - history."""

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def frames(self) -> np.ndarray:
        """uint8 [N, T, H, W, 3]."""
        return np.stack([_frames(items) for items in self.items])

    @property
    def told(self) -> bool:
        """Whether captions tell clips apart."""
        return len(set(self.captions)) > 1

    def select(self, chosen: Sequence[int]) -> Clips:
        """Returns some of the clips."""
        return replace(
            self,
            captions=[self.captions[number] for number in chosen],
            items=[self.items[number] for number in chosen],
            clusters=self.clusters[chosen],
        )


def _cut(run: Run[ClipSettings], source: Source) -> Clips:
    """Returns held-out clips, cut to as many frames as half of them have and as are measured.

    Raises:
        NothingToMeasure: half of them have no frame behind the given ones, or what is heard at
            them cannot be made.
    """
    settings, history = run.settings, run.settings.history_frames
    found = _picked(source, settings.clips, run.log)
    half = int(np.median([_length(document) for _, document in found])) if found else 0
    reach = min(half - history, max(settings.rollout_horizons))
    if reach < 1:
        raise NothingToMeasure(
            f"half of the held-out clips of source {source.name!r} have at most {half} frames, "
            f"none behind evaluation.history_frames = {history}; lower it, or give longer clips"
        )
    whole = [each for each in found if _length(each[1]) >= history + reach]
    items = [_items(run, document, history + reach) for _, document in whole]
    for stream in _streams(items[0]):
        if not run.pretrained.tokenizers.of(stream).decodes:
            raise NothingToMeasure(f"there is no decoder of {stream}, which stands between frames")
    alike = [n for n, own in enumerate(items) if _streams(own) == _streams(items[0])]
    return Clips(
        [document.text for _, document in whole],
        items,
        np.array([cluster_of(source, *each) for each in whole], np.int64),
        history,
        sorted({reach, *(ahead for ahead in settings.rollout_horizons if ahead < reach)}),
    ).select(alike)


def _picked(source: Source, count: int, log: ReadingLog) -> list[tuple[int, Document]]:
    """Returns at most ``count`` clips of a source that can be read, with their numbers."""
    # Half of a source's documents may ask for a caption.
    every = log.documents(source, picked(source, 4 * count).tolist(), pictures=False)
    numbers = [number for number, document in every if is_clip(document)]
    chosen = [numbers[place] for place in spread(len(numbers), count)] if numbers else []
    return [*log.documents(source, chosen)]


def _length(document: Document) -> int:
    return sum(1 for _ in document.images)


def _streams(items: Sequence[Continuous]) -> list[str]:
    return [item.stream for item in items]


def _frames(items: Sequence[Span]) -> np.ndarray:
    return np.stack([item.pixels() for item in items if isinstance(item, Image)])


def _items(run: Run[ClipSettings], document: Document, frames: int) -> list[Continuous]:
    """Returns the first frames of a document, at the model's size, and what is heard at them."""
    found: list[Continuous] = []
    for item in document.items:
        frames -= isinstance(item, Image)
        if frames < 0:
            break
        found.append(Image(run.fitted(item), item.target) if isinstance(item, Image) else item)
    return found


def _mean_frame(run: Run[ClipSettings], train: Source) -> np.ndarray:
    """Returns the mean picture of training clips: uint8 [H, W, 3]."""
    clips = _picked(train, run.settings.clips, ReadingLog())
    frames = [run.fitted(image) for _, document in clips for image in document.images]
    return np.mean(frames, axis=0).round().astype(np.uint8)


def _imagine(
    run: Run[ClipSettings],
    clips: Clips,
    captions: Sequence[str],
    given: int,
    sampling: SamplingSettings,
) -> np.ndarray:
    """Returns the frames of clips behind the first ``given`` ones: uint8 [N, T - given, H, W, 3].

    The noise depends on the clip and the frame, not on the captions.
    """
    from chiasm.inference.tasks import generate_items

    frames = [place for place, item in enumerate(clips.items[0]) if isinstance(item, Image)]
    begin = frames[given]
    seen: list[list[Span]] = [
        [Text(words), *own[:begin]] for words, own in zip(captions, clips.items, strict=True)
    ]
    for place, like in enumerate(clips.items[0][begin : frames[-1] + 1]):
        prompts, seed = [*map(tuple, seen)], run.settings.seed + place * len(clips)
        made = generate_items(run.sampler, prompts, like.stream, settings=sampling, seed=seed)
        for own, item in zip(seen, made, strict=True):  # in the part that it plays in training
            own.append(type(item)(item.data, like.target, item.stream))
    return np.stack([_frames(own[1 + begin :]) for own in seen])


def _samples(
    run: Run[ClipSettings], clips: Clips, imagined: np.ndarray, last: np.ndarray
) -> Iterator[Sample]:
    """Yields clips as rows of frames: the truth, the last given one, imagined, and drawn."""
    chosen = spread(len(clips), run.settings.shown).tolist()
    shown, history = clips.select(chosen), clips.history
    drawn = None
    if clips.told:
        drawn = _imagine(run, shown, shown.captions, 0, run.settings.drawing)
    for place, number in enumerate(chosen):
        stays = np.repeat(last[number][None], imagined.shape[1], axis=0)
        panels = [
            Strip.of(f"truth; the first {history} are given", clips.frames[number]),
            Strip.of(LAST, stays, history),
            Strip.of("imagined", imagined[number], history),
        ]
        if drawn is not None:
            panels.append(Strip.of("drawn from the caption alone", drawn[place]))
        words = clips.captions[number].partition(":")[2].strip()
        yield Sample(ImaginedClips.section, (("", words),) if words else (), tuple(panels))
