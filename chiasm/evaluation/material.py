"""The data of an evaluation: both splits of every source, and what the sources know of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from chiasm.capabilities import (
    ActionVideos,
    Clustered,
    Described,
    Instructed,
    PosedVideos,
    Scattered,
    Sounding,
    SoundingVideos,
)
from chiasm.data.reading import ReadingLog
from chiasm.data.source import SourceFacts
from chiasm.documents import Document, Image, Sound, Source, Text
from chiasm.errors import UserError

_LOOKED_AT = 16
"""Most documents of a source that are read to see what it holds."""


class NothingToMeasure(UserError):
    """A source has too little data for a section; other sources are measured all the same."""


@dataclass(frozen=True, repr=False)
class Material:
    """Both splits of every source, under the same names.

    What a source knows (ground truth, poses, an engine) is asked through
    :mod:`chiasm.capabilities`. Measures that need more than a source knows are skipped for it.
    """

    train: Mapping[str, Source]
    """Data that n-grams, majority answers and probes are fitted on."""
    held_out: Mapping[str, Source]
    """Data that is measured."""
    facts: Mapping[str, SourceFacts] = field(default_factory=dict)
    """Facts found when the sources were opened."""
    log: ReadingLog = field(default_factory=ReadingLog, compare=False)
    """Counts the held-out documents that cannot be used."""

    def __repr__(self) -> str:
        sides = {"train": self.train, "held_out": self.held_out}
        told = (
            f"{side}: {', '.join(f'{name} {len(own):,}' for name, own in of_side.items())}"
            for side, of_side in sides.items()
        )
        return f"<Material: documents of {'; of '.join(told)}>"

    def described(self) -> tuple[Described, Described] | None:
        """Returns the train and held-out split of the first source with ground truth of the images
        that its captions ask for; None if there is none.
        """
        for name, source in self.held_out.items():
            train = self.train[name]
            if not isinstance(source, Described) or not isinstance(train, Described):
                continue
            if any(map(asked_picture, _first(source, _LOOKED_AT))):
                return train, source
        return None

    def action_videos(self) -> dict[str, ActionVideos]:
        """Returns the held-out sources whose documents have actions between frames."""
        return {
            name: source
            for name, source in self.held_out.items()
            if isinstance(source, ActionVideos) and "ITI" in _shape(source)
        }

    def posed_videos(self) -> dict[str, PosedVideos]:
        """Returns those of them whose walks have poses."""
        return {
            name: source
            for name, source in self.action_videos().items()
            if isinstance(source, PosedVideos)
        }

    def instructions(self) -> dict[str, Instructed]:
        """Returns the held-out sources of instructions."""
        return {
            name: source for name, source in self.held_out.items() if isinstance(source, Instructed)
        }

    def sounding(self) -> tuple[Sounding, Sounding] | None:
        """Returns the train and held-out split of the first source with the truth of its sounds;
        None if there is none.
        """
        for name, source in self.held_out.items():
            train = self.train[name]
            if isinstance(source, Sounding) and isinstance(train, Sounding):
                return train, source
        return None

    def sounding_videos(self) -> dict[str, SoundingVideos]:
        """Returns the held-out sources whose documents have actions between frames with sounds."""
        return {
            name: source
            for name, source in self.held_out.items()
            if isinstance(source, SoundingVideos) and "ISTIS" in _shape(source)
        }

    def clips(self) -> dict[str, Source]:
        """Returns the held-out sources whose documents of predicted pictures are clips."""
        return {name: source for name, source in self.held_out.items() if _has_clips(source)}

    def training_walks(self, name: str) -> ActionVideos:
        """Returns the training split of a source of action videos."""
        source = self.train[name]
        assert isinstance(source, ActionVideos)
        return source


def is_clip(document: Document) -> bool:
    """Returns whether a document is frames that are predicted, each alone or with what is heard at
    it, behind a text or without one; the first frame may be given.
    """
    frames = [*document.images][1:]
    shape = re.fullmatch("T*I[IS]+", _letters(document))
    return bool(shape and frames and all(frame.target for frame in frames))


def _has_clips(source: Source) -> bool:
    first = _first(source, _LOOKED_AT)
    predicted = [each for each in first if any(image.target for image in each.images)]
    return bool(predicted) and all(map(is_clip, predicted))


def _shape(source: Source) -> str:
    """Returns the letters of a source's first document."""
    return _letters(next(_first(source, _LOOKED_AT), Document(())))


def _letters(document: Document) -> str:
    """Returns a letter for each span of a document: T of text, I of an image, S of a sound."""
    letters = ((Text, "T"), (Image, "I"), (Sound, "S"), (object, "-"))
    return "".join(
        next(letter for kind, letter in letters if isinstance(span, kind))
        for span in document.spans
    )


def _first(source: Source, count: int) -> Iterator[Document]:
    """Returns the first documents that can be read."""
    numbers = range(min(count, len(source)))
    return (found for _, found in ReadingLog().documents(source, numbers, pictures=False))


@dataclass(frozen=True)
class Items:
    """Documents of one source and the clusters that they belong to."""

    documents: list[Document]
    clusters: np.ndarray
    """Map of each document; without maps each document is a cluster of its own."""

    def select(self, chosen: Sequence[int] | np.ndarray) -> Items:
        """Returns the items of these numbers."""
        return Items([self.documents[number] for number in chosen], self.clusters[chosen])

    def with_targets(self, stream: str) -> Items:
        """Returns the items that have a target of a stream."""
        return self.select(
            [
                number
                for number, document in enumerate(self.documents)
                if any(item.target and item.stream == stream for item in document.items)
            ]
        )

    def with_text(self) -> Items:
        """Returns the items that have text."""
        return self.select(
            [number for number, document in enumerate(self.documents) if document.text]
        )


def pick(
    source: Source, count: int, log: ReadingLog | None = None, *, pictures: bool = True
) -> Items:
    """Returns at most ``count`` documents, spread over the source; always the same ones.

    Those that cannot be used are passed over, and counted in ``log``; ``pictures`` is that of
    :meth:`~chiasm.data.reading.ReadingLog.documents`.
    """
    numbers = picked(source, count).tolist()
    found = list((log or ReadingLog()).documents(source, numbers, pictures=pictures))
    if isinstance(source, Clustered):  # asked once: it looks at all of the source's attributes
        clusters = [source.cluster_of(number) for number, _ in found]
    else:
        clusters = [cluster_of(source, *each) for each in found]
    return Items([document for _, document in found], np.array(clusters, dtype=np.int64))


def picked(source: Source, count: int) -> np.ndarray:
    """Returns the numbers of the documents of :func:`pick`, before any is passed over: int64."""
    if isinstance(source, Scattered):  # over its maps; frames are repeated later
        return np.arange(min(count, len(source)))
    return spread(len(source), count)


def cluster_of(source: Source, number: int, document: Document) -> int:
    """Returns the map or trajectory of a document, if its source knows it (:class:`Clustered`).

    Otherwise documents about one image form a cluster, and a text is one of its own.
    """
    if isinstance(source, Clustered):
        return source.cluster_of(number)
    first = next(iter(document.images), None)
    if first is None:
        return number
    data = first.data
    if isinstance(data, np.ndarray):
        data = data.tobytes()
    identity = data if isinstance(data, bytes) else str(data).encode()
    return int.from_bytes(hashlib.sha256(identity).digest()[:7])


def spread(length: int, count: int) -> np.ndarray:
    """Returns at most ``count`` different numbers below ``length``, evenly spaced: int64."""
    return np.unique(np.linspace(0, length - 1, min(length, count)).round().astype(np.int64))


def asked_picture(document: Document) -> tuple[str, Image] | None:
    """Returns caption and image of a document that asks for an image in words; otherwise None."""
    spans = document.spans
    if len(spans) == 2 and isinstance(spans[0], Text) and isinstance(spans[1], Image):
        return spans[0].text.removeprefix("picture:").strip(), spans[1]
    return None
