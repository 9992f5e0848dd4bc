"""The source of instructed walks: what is asked for stands before each next view."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chiasm.documents import Document, Image, Text
from chiasm.worlds.instructions.goals import HELD_OUT_GOALS, Goal
from chiasm.worlds.instructions.grammar import NOVELTIES, marked, sentence, sentences
from chiasm.worlds.instructions.rendered import InstructedWalk, InstructedWalks
from chiasm.worlds.world import Split

INSTRUCTIONS = "instructions"
"""The task's name."""
_VARIANTS = 16
"""Documents made of one walk, in other words."""
_HELD_OUT_NOVELTIES = ("none", "none", "verb", "phrasing")


@dataclass(frozen=True, slots=True)
class Instruction:
    """What is said, what is meant by it, and what of it no training document has."""

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

    def __init__(self, walks: InstructedWalks, seed: int = 0) -> None:
        self.walks = walks
        self.name = INSTRUCTIONS
        self._seed = seed
        self._order = np.random.default_rng([seed, 1]).permutation(len(walks))

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
        """Which parts the frames play in its documents: the first is given, the others drawn."""
        return frozenset({False, True})

    def walk_of(self, index: int) -> InstructedWalk:
        """The walk that document ``index`` shows."""
        return self.walks.walks[int(self._order[index % len(self._order)])]

    def cluster_of(self, index: int) -> int:
        """The seed of the document's map."""
        return self.walk_of(index).map_seed

    def instruction_of(self, index: int) -> Instruction:
        """What document ``index`` says."""
        rng = np.random.default_rng([self._seed, index, 2])
        goal = self.walk_of(index).goal
        novelty = "none"
        if goal in HELD_OUT_GOALS:
            novelty = "goal"
        elif self.walks.split is Split.HELD_OUT:
            novelty = _HELD_OUT_NOVELTIES[int(rng.integers(len(_HELD_OUT_NOVELTIES)))]
        return Instruction(sentence(goal, novelty, rng), goal, novelty)

    def longest_documents(self) -> Iterator[Document]:
        """A document of each sentence of each goal, with the longest of the goal's walks."""
        longest: dict[Goal, InstructedWalk] = {}
        for walk in sorted(self.walks.walks, key=lambda one: one.num_steps):
            longest[walk.goal] = walk
        for goal, walk in longest.items():
            for novelty in NOVELTIES:
                for words in sentences(goal, novelty):
                    yield self.document(walk, words, walk.num_steps - self._steps_shown(walk))

    def document(self, walk: InstructedWalk, words: str, first: int = 0) -> Document:
        """[Image context, Text, Image target, Text, Image target, ...] of a walk in these words.

        It begins behind ``first`` steps and has as many views as the settings say.
        """
        frames, end = self.walks.frames, first + self._steps_shown(walk)
        spans: list[Text | Image] = [Image(frames[walk.frames[first]], target=False)]
        for number in range(first + 1, end + 1):
            text = Text(marked(words, number, walk.num_steps))
            spans += [text, Image(frames[walk.frames[number]], target=True)]
        return Document(tuple(spans))

    def _steps_shown(self, walk: InstructedWalk) -> int:
        views = self.walks.settings.views
        return walk.num_steps if views is None else min(views - 1, walk.num_steps)
