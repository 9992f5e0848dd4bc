"""What a source may be able to do beside giving documents: small protocols, and who has them.

A measure asks for what it needs, never for a class: a source of someone else's that has the methods
gets every measure that the embedded world gets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from chiasm.documents import Document, Image, Source
from chiasm.poses import Pose


@runtime_checkable
class ActionVideos(Source, Protocol):
    """A source whose frames lie on walks with known poses, so that any step can be told."""

    @property
    def walks(self) -> Sequence[range]:
        """Frame numbers of each walk in order of time, one step of the source apart."""

    def picture(self, frame: int) -> Image:
        """One frame, as context."""

    def action(self, before: int, after: int) -> str:
        """The text of the action between two frames of one walk."""

    def pose(self, frame: int) -> Pose:
        """Where one frame was taken."""

    def place_of(self, frame: int) -> int:
        """What frames of one place share: the cluster of standard errors."""


@runtime_checkable
class Clustered(Protocol):
    """A source that knows which of its documents belong together."""

    def cluster_of(self, index: int) -> int:
        """What documents share that are not independent: the cluster of standard errors."""


@runtime_checkable
class Scattered(Source, Protocol):
    """A source whose first documents already come from all over it."""

    scattered: bool


@runtime_checkable
class Uncut(Source, Protocol):
    """A source whose documents lose their meaning where a row ends inside of one."""

    def longest_documents(self) -> Iterator[Document]:
        """Documents among which is the longest."""

    @property
    def shorter(self) -> str:
        """What the user may do to have shorter ones, as the end of a message."""


@runtime_checkable
class Framed(Source, Protocol):
    """A source whose many documents show the same few frames."""

    @property
    def num_frames(self) -> int:
        """How many, numbered from 0."""

    @property
    def frames_name(self) -> str:
        """Names the frames, which several sources may show; empty: the source's own."""

    @property
    def shown_as(self) -> frozenset[bool]:
        """Which parts the frames play in its documents: ``Image.target`` of all of them."""

    def picture(self, frame: int) -> Image:
        """One frame, as context."""


@runtime_checkable
class Described(Source, Protocol):
    """A source that knows what its pictures show: the truth that drawn ones are held against."""

    @property
    def clear_frames(self) -> np.ndarray:
        """Numbers of the frames whose facts leave no doubt."""

    def frame_of(self, index: int) -> int:
        """The frame that document ``index`` is about."""

    def picture(self, frame: int) -> Image:
        """One frame, as context."""

    def facts(self, frame: int) -> Mapping[str, str]:
        """Attribute → value of all that a caption of the frame may name; the same attributes."""

    def place_of(self, frame: int) -> int:
        """What frames of one place share: the cluster of standard errors."""


@runtime_checkable
class Labelled(Described, Protocol):
    """A described source that a tokenizer can be trained and judged on."""

    @property
    def frames(self) -> np.ndarray:
        """All frames, uint8 [M, H, W, 3]; may be memory-mapped."""

    @property
    def frames_told(self) -> str:
        """Names the frames for the record."""

    def captions(self, frame: int) -> tuple[str, ...]:
        """Several captions of one frame, always the same ones."""

    def objects(self, frame: int) -> Sequence[tuple[str, tuple[float, float, float, float]]]:
        """What is seen: its kind and its left, top, right and bottom as shares of the picture."""


@runtime_checkable
class Questioning(Source, Protocol):
    """A source that knows of what kind its questions are."""

    def question_kinds(self, index: int) -> Sequence[str]:
        """The kind of each question of a document, in order; nothing where it asks none."""


@runtime_checkable
class Browsable(ActionVideos, Protocol):
    """A source of walks whose views are named by their place and their number there."""

    @property
    def views(self) -> Sequence[range]:
        """The frames of each place, beside those on walks too."""

    @property
    def clear_frames(self) -> np.ndarray:
        """Numbers of the frames that are worth beginning at."""

    def view_name(self, frame: int) -> str:
        """For people."""


class Camera(Protocol):
    """Photographs the places of a source; it holds an engine that ends with its ``with``."""

    def look(self, place: int, poses: Sequence[Pose]) -> list[np.ndarray]:
        """What is seen at some poses of a place: uint8 [H, W, 3] each."""

    def stopped(self, place: int, pose: Pose, goal: Pose) -> Pose:
        """The goal of a step, or how far towards it one comes, looking its way."""

    def settled(self, pose: Pose) -> Pose:
        """The nearest pose that it can really take."""


@runtime_checkable
class Rendered(ActionVideos, Protocol):
    """A source of walks whose engine can show what any step leads to: it has an oracle."""

    def camera(self) -> AbstractContextManager[Camera]:
        """A camera in the places of its frames."""

    def in_sight(self, place: int, viewer: Pose, goal: Pose) -> bool:
        """Whether ``goal`` lies in the picture taken from ``viewer``."""


@dataclass(frozen=True, eq=False)
class InstructedWalk:
    """What was said, and the walk of one who did it."""

    words: str
    meaning: str
    """What has to be reached; equal where two sentences ask for the same."""
    novelty: str
    """What of it no training document has: none, goal, verb or phrasing."""
    place: int
    views: tuple[Image, ...]
    """The first one is where it was said."""
    poses: tuple[Pose, ...]
    """Of the views."""
    shown: bool | None
    """Whether the first view shows the goal; None where there is nothing to show."""

    @property
    def num_steps(self) -> int:
        """Steps from the first view to the last."""
        return len(self.poses) - 1


@runtime_checkable
class Instructed(Source, Protocol):
    """A source of walks after spoken instructions, in places that can be photographed."""

    @property
    def num_walks(self) -> int:
        """Documents from 0 on that show different walks."""

    def instructed_walk(self, index: int) -> InstructedWalk:
        """The whole walk of document ``index``, in its words."""

    def is_done(self, index: int, end: Pose) -> bool:
        """Whether a walk that ends there did what document ``index`` says."""

    def steps_from(self, place: int, pose: Pose) -> list[Pose]:
        """Where one free step may lead; standing still is always possible."""

    def wander(
        self, place: int, start: Pose, num_steps: int, rng: np.random.Generator
    ) -> list[Pose]:
        """A random walk, its start first."""

    def camera(self) -> AbstractContextManager[Camera]:
        """A camera in the places of its walks."""
