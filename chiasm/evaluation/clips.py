"""Clips of held-out films, and what is imagined behind their first frames.

A clip is a document of frames behind a text, each alone or with what is heard at it.

Shape suffixes: N clips, T frames of each, H and W height and width of a frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from chiasm.data.reading import ReadingLog
from chiasm.documents import Continuous, Document, Image, Sound, Source, Span, Text
from chiasm.evaluation.material import NothingToMeasure, cluster_of, is_clip, picked, spread
from chiasm.evaluation.shared import HorizonSettings

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run
    from chiasm.inference.request import SamplingSettings


class ClipSettings(HorizonSettings):
    """How many films are continued."""

    clips: int = Field(32, ge=0)
    """Held-out clips of each source that are continued behind their first frames; 0 leaves clips
    out."""


@dataclass(frozen=True)
class Clips:
    """N clips of T frames, whose items come in one order of streams."""

    captions: list[str]
    """Text before the frames of each."""
    items: list[list[Continuous]]
    """Frames of each, at the model's size, and what is heard at them."""
    clusters: np.ndarray
    """File of each, int64 [N]."""

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def frames(self) -> np.ndarray:
        """uint8 [N, T, H, W, 3]."""
        return np.stack(
            [[item.pixels() for item in own if isinstance(item, Image)] for own in self.items]
        )

    @property
    def told(self) -> bool:
        """Whether captions tell clips apart."""
        return len(set(self.captions)) > 1

    @property
    def sounding(self) -> bool:
        """Whether every frame has a sound."""
        return all(len(self.sounds(n)) == self.frames.shape[1] for n in range(len(self)))

    def sounds(self, number: int) -> list[Sound]:
        """Returns what is heard at the frames of a clip."""
        return [item for item in self.items[number] if isinstance(item, Sound)]

    def heard(self, place: int) -> list[Sound]:
        """Returns what is heard at one frame of each clip."""
        return [self.sounds(number)[place] for number in range(len(self))]

    def select(self, chosen: Sequence[int]) -> Clips:
        """Returns some of the clips."""
        return replace(
            self,
            captions=[self.captions[number] for number in chosen],
            items=[self.items[number] for number in chosen],
            clusters=self.clusters[chosen],
        )

    def imagine(
        self,
        run: Run[ClipSettings],
        captions: Sequence[str],
        given: int,
        sampling: SamplingSettings,
    ) -> Clips:
        """Returns the clips behind their first ``given`` frames, one item imagined after the other.

        The noise depends on the clip and the item, not on the captions.
        """
        from chiasm.inference.tasks import generate_items

        order = self.items[0]
        begin = [place for place, item in enumerate(order) if isinstance(item, Image)][given]
        seen: list[list[Span]] = [
            [Text(words), *own[:begin]] for words, own in zip(captions, self.items, strict=True)
        ]
        made: list[list[Continuous]] = [[] for _ in seen]
        for place, like in enumerate(order[begin:]):
            prompts = [(*before, *own) for before, own in zip(seen, made, strict=True)]
            seed = run.settings.seed + place * len(self)
            new = generate_items(run.sampler, prompts, like.stream, settings=sampling, seed=seed)
            for own, item in zip(made, new, strict=True):  # in the part that it plays in training
                own.append(type(item)(item.data, like.target, item.stream))
        return replace(self, items=made)


def cut_clips(run: Run[ClipSettings], source: Source) -> tuple[Clips, list[int]]:
    """Returns held-out clips, cut to as many frames as half of them have and as are measured, and
    how many frames ahead of the given ones are measured.

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
    clips = Clips(
        [document.text for _, document in whole],
        items,
        np.array([cluster_of(source, *each) for each in whole], np.int64),
    )
    alike = [n for n, own in enumerate(items) if _streams(own) == _streams(items[0])]
    horizons = {reach, *(ahead for ahead in settings.rollout_horizons if ahead < reach)}
    return clips.select(alike), sorted(horizons)


def training_items(run: Run[ClipSettings], train: Source) -> list[Continuous]:
    """Returns the items of as many training clips."""
    clips = _picked(train, run.settings.clips, ReadingLog())
    return [item for _, document in clips for item in document.items]


def _picked(source: Source, count: int, log: ReadingLog) -> list[tuple[int, Document]]:
    """Returns at most ``count`` clips of a source that can be read, with their numbers."""
    # Half of a source's documents may ask for a caption.
    every = log.documents(source, picked(source, 4 * count).tolist(), pictures=False)
    numbers = [number for number, document in every if is_clip(document)]
    chosen = [numbers[place] for place in spread(len(numbers), count)] if numbers else []
    return [*log.documents(source, chosen)]


def _length(document: Document) -> int:
    return sum(1 for _ in document.images)


def _streams(items: Iterable[Continuous]) -> list[str]:
    return [item.stream for item in items]


def _items(run: Run[ClipSettings], document: Document, frames: int) -> list[Continuous]:
    """Returns the first frames of a document, at the model's size, and what is heard at them."""
    found: list[Continuous] = []
    for item in document.items:
        frames -= isinstance(item, Image)
        if frames < 0:
            break
        found.append(Image(run.fitted(item), item.target) if isinstance(item, Image) else item)
    return found
