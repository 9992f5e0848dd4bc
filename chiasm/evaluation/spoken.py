"""Held-out spoken instructions, and the walks that a model makes of them.

Open loop: from the first view and the sentence the model imagines all views on the way, and the
engine recovers the walk that they show (:class:`~chiasm.worldmodel.tracker.Tracker`). Closed loop:
the engine takes each imagined step, and the model goes on from what is seen there
(:class:`~chiasm.worldmodel.closed_loop.ClosedLoop`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from chiasm.actions import marked
from chiasm.capabilities import Instructed, InstructedWalk
from chiasm.evaluation.shared import WalkSettings
from chiasm.evaluation.strangers import NOBODY, strangers
from chiasm.poses import Pose

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run
    from chiasm.worldmodel.closed_loop import Walked
    from chiasm.worldmodel.tracker import Tracker

_TRIES = 20
"""Random walks from each start."""


class InstructedSettings(WalkSettings):
    """How many instructions are followed."""

    instructions: int = Field(0, ge=0)
    """Held-out spoken instructions that are followed in the engine, imagined from the first view
    alone and step by step; 0 is none."""


@dataclass(frozen=True, eq=False)
class Spoken:
    """One held-out instruction and the expert's walk that follows it."""

    index: int
    """Number of the source's document."""
    walk: InstructedWalk
    frames: np.ndarray
    """uint8 [1 + S, H, W, 3]."""

    @property
    def num_steps(self) -> int:
        """S."""
        return self.walk.num_steps

    def script(self, words: str) -> list[str]:
        """Returns the text before each view: a sentence, with how far along it is."""
        return [marked(words, number, self.num_steps) for number in range(1, self.num_steps + 1)]


class SpokenWalks:
    """Held-out instructions of a source, in the order of their places.

    Args:
        run: of the model.
        source: held-out walks.
        items: the instructions with the expert's walks.
    """

    def __init__(
        self, run: Run[InstructedSettings], source: Instructed, items: Sequence[Spoken]
    ) -> None:
        self.items = sorted(items, key=lambda item: item.walk.place)
        self._run, self._source = run, source
        self._most = max(item.num_steps for item in items)
        seed = run.settings.seed
        self._seeds = [seed + number * self._most for number in range(len(items))]

    @classmethod
    def of(cls, run: Run[InstructedSettings], source: Instructed) -> SpokenWalks:
        """Returns those of the first documents, which come from all of the source's places."""
        items = []
        for number in range(min(run.settings.instructions, source.num_walks)):
            walk = source.instructed_walk(number)
            frames = np.stack([run.fitted(view) for view in walk.views])
            items.append(Spoken(number, walk, frames))
        return cls(run, source, items)

    @property
    def words(self) -> list[str]:
        """The sentence of each."""
        return [item.walk.words for item in self.items]

    def other_words(self) -> list[str]:
        """Returns a sentence of another map with another meaning for each, if there is one."""
        meanings = [item.walk.meaning for item in self.items]
        places = [item.walk.place for item in self.items]
        found = strangers(places, meanings, self._run.settings.seed)
        return [
            self.words[number if other == NOBODY else other] for number, other in enumerate(found)
        ]

    def are_done(self, walks: Sequence[Walked]) -> np.ndarray:
        """Returns whether each walk did what is said, by its end: 1 or 0, float64 [N]."""
        pairs = zip(self.items, walks, strict=True)
        return np.array(
            [self._source.is_done(item.index, walk.poses[-1]) for item, walk in pairs], float
        )

    def wandered(self) -> np.ndarray:
        """Returns how often a random walker of as many steps succeeds: float64 [N]."""
        rng = np.random.default_rng(self._run.settings.seed)
        return np.array(
            [
                np.mean([self._source.is_done(item.index, end) for end in self._ends(item, rng)])
                for item in self.items
            ]
        )

    def _ends(self, item: Spoken, rng: np.random.Generator) -> Iterator[Pose]:
        """Yields the ends of random walks from an item's start."""
        place, start = item.walk.place, item.walk.poses[0]
        for _ in range(_TRIES):
            yield self._source.wander(place, start, item.num_steps, rng)[-1]

    def imagine(self, words: Sequence[str]) -> list[np.ndarray]:
        """Returns the views imagined from each first one alone: uint8 [S, H, W, 3] each."""
        from chiasm.worldmodel.rollout import Context, Rollouts

        run, pairs = self._run, zip(self.items, words, strict=True)
        rollouts = Rollouts.instructed(run.pretrained, run.settings.imagining, self._most)
        contexts = [Context((item.frames[0],)) for item in self.items]
        return rollouts.imagine(
            contexts, [item.script(said) for item, said in pairs], seed=self._seeds
        )

    def follow(
        self, tracker: Tracker, kinds: Sequence[Sequence[np.ndarray]], told: Sequence[Sequence[str]]
    ) -> tuple[list[list[Walked]], list[list[Walked]]]:
        """Returns the walk that each view's kind shows, and the closed loop's after each sentence.

        Args:
            tracker: of the source's places.
            kinds: the views of each item, uint8 [S, H, W, 3] each, of several kinds.
            told: the sentences of each item, of several kinds.

        Raises:
            UserError: a walk with its sentence is longer than the model's context.
        """
        shown: list[list[Walked]] = [[] for _ in kinds]
        acted: list[list[Walked]] = [[] for _ in told]
        # One place after the other: the tracker renders each pose that several walks pass once.
        for place, group in groupby(range(len(self.items)), lambda n: self.items[n].walk.place):
            own = list(group)
            self._run.on_stage("instructions", own[0], len(self.items))
            for views, walks in zip(kinds, shown, strict=True):
                walks += self._shown(tracker, place, own, [views[n] for n in own])
            for words, walks in zip(told, acted, strict=True):
                walks += self._acted(tracker, place, own, [words[n] for n in own])
        self._run.on_stage("instructions", len(self.items), len(self.items))
        return shown, acted

    def _shown(
        self, tracker: Tracker, place: int, own: Sequence[int], views: Sequence[np.ndarray]
    ) -> Iterator[Walked]:
        """Yields the walks through a place that views show."""
        from chiasm.worldmodel.closed_loop import Walked

        starts = [self.items[n].walk.poses[0] for n in own]
        for poses, each in zip(tracker.follow(place, starts, views), views, strict=True):
            yield Walked(poses, each, np.stack([tracker.view(place, p) for p in poses[1:]]))

    def _acted(
        self, tracker: Tracker, place: int, own: Sequence[int], words: Sequence[str]
    ) -> list[Walked]:
        """Returns the closed loop's walks through a place."""
        from chiasm.worldmodel.closed_loop import ClosedLoop
        from chiasm.worldmodel.rollout import Rollouts

        run, items = self._run, [self.items[n] for n in own]
        rollouts = Rollouts.instructed(run.pretrained, run.settings.imagining, self._most)
        return ClosedLoop(rollouts, tracker).walk(
            place,
            [item.walk.poses[0] for item in items],
            [item.frames[0] for item in items],
            [item.script(said) for item, said in zip(items, words, strict=True)],
            seed=[self._seeds[n] for n in own],
        )
