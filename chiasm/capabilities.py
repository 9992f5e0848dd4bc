"""Optional capabilities of sources beside documents, as small protocols.

A measure requires a protocol, never a class: a third party's source with these methods has every
measure that the embedded world has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from chiasm.documents import Document, Image, Sound, Source
from chiasm.poses import Pose


@runtime_checkable
class ActionVideos(Source, Protocol):
    """A source whose frames lie on walks, with the action from any frame to a later one."""

    @property
    def walks(self) -> Sequence[range]:
        """Frame numbers of each walk in order of time, one step of the source apart."""

    def picture(self, frame: int) -> Image:
        """Returns one frame, as context."""

    def action(self, before: int, after: int) -> str:
        """Returns the text of the action between two frames of one walk."""

    def place_of(self, frame: int) -> int:
        """Returns the number of the frame's place, the cluster of standard errors."""


@runtime_checkable
class PosedVideos(ActionVideos, Protocol):
    """A source whose walks have known poses, so that an action may lead back as well."""

    def pose(self, frame: int) -> Pose:
        """Returns the pose of one frame, in metres and degrees."""


@runtime_checkable
class ControlledVideos(ActionVideos, Protocol):
    """A source whose walks have recorded controls, such as steering and throttle."""

    def controls(self, before: int, after: int) -> Mapping[str, float]:
        """Returns the controls that led from one frame of a walk to a later one, by name."""

    def last_controls(self, frame: int) -> Mapping[str, float]:
        """Returns the controls that were given at a frame, where the next one need not be known."""

    def task_of(self, frame: int) -> str:
        """Returns what was to be done at a frame, in words; empty where it is not known."""

    @property
    def frames_per_second(self) -> float | None:
        """Rate of its walks; None where it is not known."""


@runtime_checkable
class Clustered(Protocol):
    """A source whose documents are grouped into clusters."""

    def cluster_of(self, index: int) -> int:
        """Returns the cluster of a document for standard errors: dependent ones share it."""


@runtime_checkable
class InRuns(Protocol):
    """A source some of whose documents are cheaper to read one after another: clips of a film."""

    @property
    def runs(self) -> np.ndarray:
        """int64 [documents]: equal for those that belong together, in order of their numbers."""


@runtime_checkable
class Scattered(Source, Protocol):
    """A source whose documents are in scattered order: any first few represent all."""

    scattered: bool


@runtime_checkable
class Uncut(Source, Protocol):
    """A source whose documents must not be split between rows."""

    def longest_documents(self) -> Iterator[Document]:
        """Yields documents that include the longest one."""

    @property
    def shorter(self) -> str:
        """Advice to the user on making documents shorter, as the end of a message."""


@runtime_checkable
class Framed(Source, Protocol):
    """A source whose many documents show the same few frames."""

    @property
    def num_frames(self) -> int:
        """Number of frames, which are numbered from 0."""

    @property
    def frames_name(self) -> str:
        """Name of the frames, which several sources may share; empty: the source's own."""

    @property
    def shown_as(self) -> frozenset[bool]:
        """Values of ``Image.target`` among the frames of its documents."""

    def picture(self, frame: int) -> Image:
        """Returns one frame, as context."""


@runtime_checkable
class Described(Source, Protocol):
    """A source with the true content of its pictures, which drawn ones are compared to."""

    @property
    def clear_frames(self) -> np.ndarray:
        """Numbers of the frames with unambiguous facts."""

    def frame_of(self, index: int) -> int:
        """Returns the frame that document ``index`` is about."""

    def picture(self, frame: int) -> Image:
        """Returns one frame, as context."""

    def facts(self, frame: int) -> Mapping[str, str]:
        """Returns value by attribute of all that a caption may name; frames share attributes."""

    def place_of(self, frame: int) -> int:
        """Returns the number of the frame's place, the cluster of standard errors."""


@runtime_checkable
class Labelled(Described, Protocol):
    """A described source that a tokenizer can be trained and evaluated on."""

    @property
    def frames(self) -> np.ndarray:
        """All frames, uint8 [M, H, W, 3]; may be memory-mapped."""

    @property
    def frames_told(self) -> str:
        """Name of the frames for the record."""

    def captions(self, frame: int) -> tuple[str, ...]:
        """Returns several captions of one frame, always the same ones."""

    def objects(self, frame: int) -> Sequence[tuple[str, tuple[float, float, float, float]]]:
        """Returns kind and box of visible objects: left, top, right, bottom as shares of sides."""


@runtime_checkable
class Questioning(Source, Protocol):
    """A source with kinds of questions."""

    def question_kinds(self, index: int) -> Sequence[str]:
        """Returns the kind of each question of a document, in order; empty without any."""


@runtime_checkable
class Answered(Source, Protocol):
    """A source whose questions may have several true answers, such as those of ten people."""

    def answers(self, index: int) -> Sequence[Sequence[str]]:
        """Returns all answers to each question of a document, in order; empty without any."""


@runtime_checkable
class Sounding(Source, Protocol):
    """A source whose frames sound, with the truth of what is heard."""

    @property
    def num_frames(self) -> int:
        """Number of frames, which are numbered from 0."""

    def frame_of(self, index: int) -> int:
        """Returns the first frame of document ``index``."""

    def sound(self, frame: int) -> Sound:
        """Returns what is heard in one frame, as context."""

    def heard(self, frame: int) -> Mapping[str, str]:
        """Returns value by attribute of the only sound in a frame; empty where there is none, or
        several. An attribute that is in doubt is left out."""

    def place_of(self, frame: int) -> int:
        """Returns the number of the frame's place, the cluster of standard errors."""


@runtime_checkable
class SoundingVideos(ActionVideos, Sounding, Protocol):
    """A source of walks whose frames sound."""


@runtime_checkable
class Browsable(ActionVideos, Protocol):
    """A source of walks whose views are numbered within their place."""

    @property
    def views(self) -> Sequence[range]:
        """The frames of each place, including those not on walks."""

    @property
    def clear_frames(self) -> np.ndarray:
        """Numbers of the frames that are good starts."""

    def view_name(self, frame: int) -> str:
        """Returns a readable name of a view."""


class Camera(Protocol):
    """Renders the places of a source by an engine, which runs within a ``with`` statement."""

    def look(self, place: int, poses: Sequence[Pose]) -> list[np.ndarray]:
        """Returns the views at some poses of a place: uint8 [H, W, 3] each."""

    def stopped(self, place: int, pose: Pose, goal: Pose) -> Pose:
        """Returns the goal of a step or, if it is blocked, where it ends, with the goal's yaw."""

    def settled(self, pose: Pose) -> Pose:
        """Returns the nearest pose that the engine can represent."""


@runtime_checkable
class Rendered(PosedVideos, Protocol):
    """A source of walks whose engine can render the result of any step: it has an oracle."""

    def camera(self) -> AbstractContextManager[Camera]:
        """Returns a camera in the places of its frames."""

    def in_sight(self, place: int, viewer: Pose, goal: Pose) -> bool:
        """Returns whether the place of ``goal`` lies in the picture taken from ``viewer``."""


@dataclass(frozen=True, eq=False)
class InstructedWalk:
    """An instruction, and a walk that follows it."""

    words: str
    meaning: str
    """The goal to reach; equal for sentences of equal meaning."""
    novelty: str
    """Part of it that no training document has: none, goal, verb or phrasing."""
    place: int
    views: tuple[Image, ...]
    """Views of the walk; the instruction is given at the first."""
    poses: tuple[Pose, ...]
    """Poses of the views."""
    shown: bool | None
    """Whether the first view shows the goal; None if the goal is nothing visible."""

    @property
    def num_steps(self) -> int:
        """Number of steps from the first view to the last."""
        return len(self.poses) - 1


@runtime_checkable
class Instructed(Source, Protocol):
    """A source of walks that follow spoken instructions, in places that can be rendered."""

    @property
    def num_walks(self) -> int:
        """Number of documents, from 0 on, with different walks."""

    def instructed_walk(self, index: int) -> InstructedWalk:
        """Returns the whole walk of document ``index``, with its instruction."""

    def is_done(self, index: int, end: Pose) -> bool:
        """Returns whether a walk that ends at ``end`` fulfils the instruction of the document."""

    def steps_from(self, place: int, pose: Pose) -> list[Pose]:
        """Returns the poses that one free step may lead to, standing still included."""

    def wander(
        self, place: int, start: Pose, num_steps: int, rng: np.random.Generator
    ) -> list[Pose]:
        """Returns a random walk, its start first."""

    def camera(self) -> AbstractContextManager[Camera]:
        """Returns a camera in the places of its walks."""
