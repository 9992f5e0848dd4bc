"""What an evaluation reads: both sides of every source, and what sources know of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from chiasm.capabilities import ActionVideos, Clustered, Described, Instructed, Scattered
from chiasm.data.reading import ReadingLog
from chiasm.data.source import SourceFacts
from chiasm.documents import Document, Image, Source, Text
from chiasm.errors import UserError

_LOOKED_AT = 16
"""Documents of a source that are read to see what it holds, at most."""


class NothingToMeasure(UserError):
    """A source has too little for a section; the others are measured all the same."""


@dataclass(frozen=True)
class Material:
    """Both sides of every source, under the same names.

    A source says by its methods what it knows (:mod:`chiasm.capabilities`): ground truth, poses, an
    engine. What needs more than a source knows is skipped for it.
    """

    train: Mapping[str, Source]
    """What n-grams, majority answers and probes learn from."""
    held_out: Mapping[str, Source]
    """What is measured."""
    facts: Mapping[str, SourceFacts] = field(default_factory=dict)
    """What opening the sources found."""
    log: ReadingLog = field(default_factory=ReadingLog, compare=False)
    """Counts the held-out documents that cannot be used."""

    def described(self) -> tuple[Described, Described] | None:
        """The train and held-out side of the first source that knows what the pictures show that
        it asks for in words."""
        for name, source in self.held_out.items():
            train = self.train[name]
            if not isinstance(source, Described) or not isinstance(train, Described):
                continue
            if any(map(asked_picture, _first(source, _LOOKED_AT))):
                return train, source
        return None

    def action_videos(self) -> dict[str, ActionVideos]:
        """The held-out sources that know the way behind their frames, and tell it."""
        return {
            name: source
            for name, source in self.held_out.items()
            if isinstance(source, ActionVideos) and _tells_actions(source)
        }

    def instructions(self) -> dict[str, Instructed]:
        """The held-out sources of spoken instructions."""
        return {
            name: source for name, source in self.held_out.items() if isinstance(source, Instructed)
        }

    def training_walks(self, name: str) -> ActionVideos:
        """The training side of a source of action videos."""
        source = self.train[name]
        assert isinstance(source, ActionVideos)
        return source


def _tells_actions(source: Source) -> bool:
    """Whether a document has words between two pictures: [Image, Text, Image, ...]."""
    first = next(_first(source, _LOOKED_AT), Document(()))
    kinds = "".join("T" if isinstance(span, Text) else "I" for span in first.spans)
    return "ITI" in kinds


def _first(source: Source, count: int) -> Iterator[Document]:
    """The first documents that can be read."""
    numbers = range(min(count, len(source)))
    return (found for _, found in ReadingLog().documents(source, numbers, pictures=False))


@dataclass(frozen=True)
class Items:
    """Documents of one source and the clusters that they belong to."""

    documents: list[Document]
    clusters: np.ndarray
    """The map of each document; a source without maps has each document for itself."""

    def select(self, chosen: Sequence[int] | np.ndarray) -> Items:
        """The items of these numbers."""
        return Items([self.documents[number] for number in chosen], self.clusters[chosen])

    def with_targets(self, stream: str) -> Items:
        """Those that have a target of a stream."""
        return self.select(
            [
                number
                for number, document in enumerate(self.documents)
                if any(item.target and item.stream == stream for item in document.items)
            ]
        )

    def with_text(self) -> Items:
        """Those that have text."""
        return self.select(
            [number for number, document in enumerate(self.documents) if document.text]
        )


def pick(
    source: Source, count: int, log: ReadingLog | None = None, *, pictures: bool = True
) -> Items:
    """At most ``count`` documents from all over the source, always the same ones.

    Those that cannot be used are passed over, and counted in ``log``; ``pictures`` is that of
    :meth:`~chiasm.data.reading.ReadingLog.documents`.
    """
    numbers = picked(source, count).tolist()
    found = list((log or ReadingLog()).documents(source, numbers, pictures=pictures))
    clusters = [cluster_of(source, *each) for each in found]
    return Items([document for _, document in found], np.array(clusters, dtype=np.int64))


def picked(source: Source, count: int) -> np.ndarray:
    """Their numbers: int64."""
    if isinstance(source, Scattered):  # over its maps; frames are repeated later
        return np.arange(min(count, len(source)))
    return spread(len(source), count)


def cluster_of(source: Source, number: int, document: Document) -> int:
    """The map or trajectory of a document, or what its source says (:class:`Clustered`).

    Of sources that say nothing, documents about one picture belong together, and a text stands
    for itself.
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
    """At most ``count`` different numbers below ``length``, evenly spaced: int64."""
    return np.unique(np.linspace(0, length - 1, min(length, count)).round().astype(np.int64))


def asked_picture(document: Document) -> tuple[str, Image] | None:
    """The caption and the picture of a document that asks for a picture in words; else None."""
    spans = document.spans
    if len(spans) == 2 and isinstance(spans[0], Text) and isinstance(spans[1], Image):
        return spans[0].text.removeprefix("picture:").strip(), spans[1]
    return None
