"""The source of instructed walks: the instruction stands before each next view."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chiasm.actions import marked
from chiasm.capabilities import InstructedWalk
from chiasm.documents import Document, Image, Split, Text
from chiasm.poses import Pose
from chiasm.worlds.camera import WorldCamera
from chiasm.worlds.instructions.expert import STRIDE_METRES, TURNS_DEGREES, step, wander
from chiasm.worlds.instructions.goals import HELD_OUT_GOALS, Goal, reached
from chiasm.worlds.instructions.grammar import NOVELTIES, sentence, sentences
from chiasm.worlds.instructions.ground import Ground
from chiasm.worlds.instructions.rendered import InstructedWalks, RenderedWalk
from chiasm.worlds.instructions.settings import INSTRUCTIONS
from chiasm.worlds.instructions.sight import shows_goal
from chiasm.worlds.maps import generate_map

_VARIANTS = 16
"""Number of documents made of one walk, with different sentences."""
_HELD_OUT_NOVELTIES = ("none", "none", "verb", "phrasing")
_STANDING = (0.0, 0.0, 0.0)
_STEPS = (
    *((0.0, 0.0, turn) for turn in TURNS_DEGREES),
    *((STRIDE_METRES, 0.0, turn) for turn in (0.0, *TURNS_DEGREES)),
    (-STRIDE_METRES, 0.0, 0.0),
    _STANDING,
)
"""All steps that the expert can take, and standing still."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """A sentence, its goal, and its novelty."""

    words: str
    goal: Goal
    novelty: str
    """One of :data:`~chiasm.worlds.instructions.grammar.NOVELTIES`."""


class InstructionSource:
    """Documents of instructed walks.

    ``source[i]`` is a function of the walks, ``seed`` and ``i``. Consecutive documents come from
    scattered maps; every walk is used once before any is used again. Training documents have no
    novelty; held-out ones have a new verb or phrasing half of the time, where the goal is not new.
    """

    scattered = True

    def __init__(self, walks: InstructedWalks, seed: int = 0) -> None:
        self.walks = walks
        self.name = INSTRUCTIONS
        self._seed = seed
        self._order = np.random.default_rng([seed, 1]).permutation(len(walks))
        self._grounds: dict[int, Ground] = {}

    def __len__(self) -> int:
        return len(self.walks) * _VARIANTS

    def __getitem__(self, index: int) -> Document:
        if not 0 <= index < len(self):
            raise IndexError(f"document {index} of {len(self)}")
        walk, words = self.walk_of(index), self.instruction_of(index).words
        rng = np.random.default_rng([self._seed, index, 3])
        last_first = walk.num_steps - self._steps_shown(walk)
        return self.document(walk, words, int(rng.integers(last_first + 1)))

    @property
    def shown_as(self) -> frozenset[bool]:
        """Values of ``Image.target``: the first frame of a document is context, others targets."""
        return frozenset({False, True})

    @property
    def num_frames(self) -> int:
        """Number of frames of all walks."""
        return len(self.walks.frames)

    @property
    def frames_name(self) -> str:
        """Name of the frames, which no other source shows."""
        return f"{self.walks.split.value} instructions"

    def picture(self, frame: int) -> Image:
        """Returns one frame, as context."""
        return Image(self.walks.frames[frame], target=False)

    @property
    def num_walks(self) -> int:
        """Number of documents, from 0 on, that show different walks."""
        return len(self.walks)

    def instructed_walk(self, index: int) -> InstructedWalk:
        """Returns the whole walk of document ``index``, with its sentence."""
        walk, said = self.walk_of(index), self.instruction_of(index)
        views = [self.walks.views[frame] for frame in walk.frames]
        return InstructedWalk(
            said.words,
            f"{said.goal.kind}: {said.goal.what}",
            said.novelty,
            walk.map_seed,
            tuple(self.picture(frame) for frame in walk.frames),
            tuple(view.pose for view in views),
            shows_goal(self._ground(walk.map_seed).map, walk.goal, views[0]),
        )

    def is_done(self, index: int, end: Pose) -> bool:
        """Returns whether a walk that ends at ``end`` did what document ``index`` says."""
        walk = self.walk_of(index)
        start = self.walks.views[walk.frames[0]].pose
        return reached(self._ground(walk.map_seed).map, walk.goal, start, end)

    def steps_from(self, place: int, pose: Pose) -> list[Pose]:
        """Returns where one free step of the expert may lead; standing still is always possible."""
        ground, standing = self._ground(place), step(pose, _STANDING)
        moved = (step(pose, move) for move in _STEPS)
        return [to for to in moved if ground.is_free_path(pose, to) or to == standing]

    def wander(
        self, place: int, start: Pose, num_steps: int, rng: np.random.Generator
    ) -> list[Pose]:
        """Returns a random walk, its start first."""
        return wander(self._ground(place), start, num_steps, rng)

    def camera(self) -> WorldCamera:
        """Returns the engine as a camera in the maps of the walks."""
        return WorldCamera(self.walks.world_settings, self.walks.split)

    @property
    def shorter(self) -> str:
        """Advice on the setting that makes documents shorter."""
        return f"lower instructions.steps = {list(self.walks.settings.steps)}"

    def walk_of(self, index: int) -> RenderedWalk:
        """Returns the walk that document ``index`` shows."""
        return self.walks.walks[int(self._order[index % len(self._order)])]

    def cluster_of(self, index: int) -> int:
        """Returns the seed of the document's map."""
        return self.walk_of(index).map_seed

    def instruction_of(self, index: int) -> Instruction:
        """Returns the instruction of document ``index``."""
        rng = np.random.default_rng([self._seed, index, 2])
        goal = self.walk_of(index).goal
        novelty = "none"
        if goal in HELD_OUT_GOALS:
            novelty = "goal"
        elif self.walks.split is Split.HELD_OUT:
            novelty = _HELD_OUT_NOVELTIES[int(rng.integers(len(_HELD_OUT_NOVELTIES)))]
        return Instruction(sentence(goal, novelty, rng), goal, novelty)

    def longest_documents(self) -> Iterator[Document]:
        """Yields a document for each sentence of each goal, with the goal's longest walk."""
        longest: dict[Goal, RenderedWalk] = {}
        for walk in sorted(self.walks.walks, key=lambda one: one.num_steps):
            longest[walk.goal] = walk
        for goal, walk in longest.items():
            for novelty in NOVELTIES:
                for words in sentences(goal, novelty):
                    yield self.document(walk, words, walk.num_steps - self._steps_shown(walk))

    def document(self, walk: RenderedWalk, words: str, first: int = 0) -> Document:
        """Returns [Image context, Text, Image target, Text, Image target, ...] of a walk.

        It begins behind ``first`` steps and has as many views as the settings say.
        """
        frames, end = self.walks.frames, first + self._steps_shown(walk)
        spans: list[Text | Image] = [Image(frames[walk.frames[first]], target=False)]
        for number in range(first + 1, end + 1):
            text = Text(marked(words, number, walk.num_steps))
            spans += [text, Image(frames[walk.frames[number]], target=True)]
        return Document(tuple(spans))

    def _ground(self, place: int) -> Ground:
        if place not in self._grounds:
            self._grounds[place] = Ground(generate_map(self.walks.world_settings.seed, place))
        return self._grounds[place]

    def _steps_shown(self, walk: RenderedWalk) -> int:
        views = self.walks.settings.views
        return walk.num_steps if views is None else min(views - 1, walk.num_steps)
