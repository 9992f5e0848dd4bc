"""Instruction success: whether imagined views after an instruction lead where it says.

From the first view of a held-out walk and the sentence with its progress marks the model imagines
the views on the way. The engine recovers the trajectory that they show
(:class:`~chiasm.worldmodel.tracker.Tracker`), and checks whether its end is at the goal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from chiasm.actions import marked
from chiasm.capabilities import Instructed, InstructedWalk
from chiasm.errors import UserError
from chiasm.evaluation.evaluation import Findings, Panel, Sample
from chiasm.evaluation.material import spread
from chiasm.evaluation.measure import NO_DECODER, Measure
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.shared import WalkSettings
from chiasm.evaluation.strangers import NOBODY, strangers
from chiasm.poses import Pose, relative_pose

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run
    from chiasm.worldmodel.tracker import Tracker

NO_INSTRUCTIONS = (
    "no source has walks after instructions; one that does is stream.sources.NAME.kind = 'world' "
    "with task = 'instructions'; or set evaluation.instructions = 0"
)
RANDOM, SHUFFLED = "random walker", "other sentences"
_TRIES = 20
"""Random walks from each start."""
_SAME_METRES, _SAME_DEGREES = 0.25, 5.0
_NOVELTIES = {
    "none": "nothing of it new",
    "goal": "a goal that was never asked for",
    "verb": "a verb that was never read",
    "phrasing": "words around it that were never read",
}
_SHOWN = {
    True: "its goal in the first view",
    False: "its goal not in the first view",
    None: "a turn or counted steps",
}


@dataclass(frozen=True, eq=False)
class _Item:
    """One held-out instruction and the expert's walk that follows it."""

    index: int
    """Number of the source's document."""
    walk: InstructedWalk
    frames: np.ndarray
    """uint8 [1 + S, H, W, 3]."""

    @property
    def num_steps(self) -> int:
        return self.walk.num_steps


class InstructedSettings(WalkSettings):
    """How many instructions are followed."""

    instructions: int = Field(0, ge=0)
    """Held-out spoken instructions whose imagined walks are followed in the engine; 0 is none."""


class InstructedWalks(Measure[InstructedSettings]):
    """Success of imagined walks, beside other sentences and a random walker; the first walks."""

    section = "instructions"
    settings = InstructedSettings
    baselines = (
        "The model imagines the views after a sentence. The engine photographs every step that "
        "the expert could take, and the photograph nearest to the imagined view, both through the "
        "same tokenizer, says which step it was; what is said is done when the walk that is found "
        "so ends at the goal. Other sentences: the same first view and noise with a sentence of "
        "another map that asks for something else. The random walker takes as many steps from the "
        "same start. The true views, decoded, show what the measure itself loses."
    )
    heading = "Where it goes when told"
    lead = (
        "The views that it imagines after a sentence; where they lead, by the engine; and "
        "where the expert came."
    )

    def applies(self, run: Run[InstructedSettings]) -> str:
        """Returns the reason why it cannot be measured; empty where it can, or is switched off."""
        if not run.material.instructions():
            return NO_INSTRUCTIONS if run.settings.instructions else ""
        if not run.settings.instructions:
            return "evaluation.instructions = 0"
        return "" if run.pretrained.draws else NO_DECODER

    def measure(self, run: Run[InstructedSettings]) -> Findings:
        """Returns the findings on each source."""
        return self.by_source(
            run.material.instructions(),
            lambda name, source, of: self.measure_walks(run, source, of),
            excused=UserError,  # another walk's sentence may be too long for the context
        )

    def measure_walks(
        self, run: Run[InstructedSettings], source: Instructed, of: str = ""
    ) -> Findings:
        """Returns the findings on one source; ``of`` is appended to the names of its rows.

        Raises:
            UserError: a walk with another one's sentence is longer than the model's context.
        """
        from chiasm.worldmodel.oracle import Oracle
        from chiasm.worldmodel.tracker import Tracker

        items, seed = _items(run, source), run.settings.seed
        imagined = _imagine(run, items, [item.walk.words for item in items])
        words = _other_words(items, seed)
        shuffled = _imagine(run, items, words)
        true = [run.through_tokenizer(item.frames[1:]) for item in items]
        shown = spread(len(items), run.settings.shown).tolist()
        with Oracle(source.camera(), run.pretrained.actions, run.image_shape) as oracle:
            tracker = Tracker(run.pretrained, oracle, source.steps_from)
            ways = _follow(tracker, items, (imagined, shuffled, true))
            ends = [oracle.look(items[n].walk.place, [ways[0][n][-1]])[0] for n in shown]
        own, other, ceiling = (
            np.array(
                [
                    source.is_done(item.index, way[-1])
                    for item, way in zip(items, each, strict=True)
                ],
                float,
            )
            for each in ways
        )
        baselines = {RANDOM: _random(source, items, seed)}
        is_other = np.array([a != item.walk.words for a, item in zip(words, items, strict=True)])
        skipped = {}
        if is_other.any():
            baselines = {SHUFFLED: np.where(is_other, other, np.nan), **baselines}
        else:
            skipped[f"{self.section}, {SHUFFLED}{of}"] = (
                "no sentence of another held-out map asks for something else; hold out more maps"
            )
        rows = _rows(run, items, own, baselines, of)
        measure, name = _measurement(run, items), f"what is said is done{of}"
        rows.append(measure.row(f"{name}, by the true views, decoded: the ceiling", ceiling))
        pairs = zip(items, ways[2], strict=True)
        again = [_is_same_way(way, item.walk.poses) for item, way in pairs]
        rows.append(measure.row(f"walks found again step by step from their true views{of}", again))
        samples = [
            _sample(items[n], imagined[n], true[n][-1], end, own[n] > 0)
            for n, end in zip(shown, ends, strict=True)
        ]
        return Findings(rows, samples, skipped=skipped)


def _items(run: Run[InstructedSettings], source: Instructed) -> list[_Item]:
    """Returns the first documents of the source, which come from all of its places."""
    items = []
    for number in range(min(run.settings.instructions, source.num_walks)):
        walk = source.instructed_walk(number)
        frames = np.stack([run.fitted(view) for view in walk.views])
        items.append(_Item(number, walk, frames))
    return sorted(items, key=lambda item: item.walk.place)


def _other_words(items: Sequence[_Item], seed: int) -> list[str]:
    """Returns, for each item, a sentence of another map with another meaning, if there is one."""
    meanings = [item.walk.meaning for item in items]
    found = strangers([item.walk.place for item in items], meanings, seed)
    return [
        items[number if other == NOBODY else other].walk.words for number, other in enumerate(found)
    ]


def _imagine(
    run: Run[InstructedSettings], items: Sequence[_Item], words: Sequence[str]
) -> list[np.ndarray]:
    """Returns the imagined views of each walk, uint8 [S, H, W, 3], in documents as in training."""
    from chiasm.worldmodel.rollout import Context, Rollouts

    most = max(item.num_steps for item in items)
    rollouts = Rollouts.instructed(run.pretrained, run.settings.imagining, most)
    contexts = [Context((item.frames[0],)) for item in items]
    scripts = [
        [marked(said, n, item.num_steps) for n in range(1, item.num_steps + 1)]
        for item, said in zip(items, words, strict=True)
    ]
    seeds = [run.settings.seed + number * most for number in range(len(items))]
    return rollouts.imagine(contexts, scripts, seed=seeds)


def _follow(
    tracker: Tracker, items: Sequence[_Item], kinds: Sequence[Sequence[np.ndarray]]
) -> list[list[list[Pose]]]:
    """Returns the tracked poses of each item for each kind of views (imagined, shuffled, true)."""
    ways: list[list[list[Pose]]] = [[[] for _ in items] for _ in kinds]
    # One call per map, for all kinds: the tracker renders each pose that several walks pass once.
    for place in dict.fromkeys(item.walk.place for item in items):
        own = [n for n, item in enumerate(items) if item.walk.place == place]
        places = [(kind, n) for kind in range(len(kinds)) for n in own]
        found = tracker.follow(
            place,
            [items[n].walk.poses[0] for _, n in places],
            [kinds[kind][n] for kind, n in places],
        )
        for (kind, n), way in zip(places, found, strict=True):
            ways[kind][n] = way
    return ways


def _is_same_way(way: Sequence[Pose], other: Sequence[Pose]) -> bool:
    """Returns whether each step led to the same pose, up to the engine's rounding."""
    return all(
        math.hypot(dx, dy) < _SAME_METRES and abs(dyaw) < _SAME_DEGREES
        for dx, dy, dyaw in (relative_pose(a, b) for a, b in zip(way, other, strict=True))
    )


def _random(source: Instructed, items: Sequence[_Item], seed: int) -> np.ndarray:
    """Returns how often a random walker of as many steps succeeds, for each item."""
    rng = np.random.default_rng(seed)
    return np.array(
        [
            np.mean([source.is_done(item.index, end) for end in _wandered(source, item.walk, rng)])
            for item in items
        ]
    )


def _wandered(source: Instructed, walk: InstructedWalk, rng: np.random.Generator) -> Iterator[Pose]:
    """Yields the ends of random walks from the start of a walk, of as many steps."""
    for _ in range(_TRIES):
        yield source.wander(walk.place, walk.poses[0], walk.num_steps, rng)[-1]


def _measurement(run: Run[InstructedSettings], items: Iterable[_Item]) -> Measurement:
    clusters = np.array([item.walk.place for item in items], np.int64)
    return run.measurement(InstructedWalks.section, "share", "higher", clusters)


def _rows(
    run: Run[InstructedSettings],
    items: Sequence[_Item],
    own: np.ndarray,
    baselines: dict[str, np.ndarray],
    of: str,
) -> list[Row]:
    """Returns rows of all items, by novelty of the sentence, and by whether the goal is in view."""
    novelties = [item.walk.novelty for item in items]
    groups = {"": list(range(len(items)))}
    for novelty, words in _NOVELTIES.items():
        groups[f", {words}"] = [n for n, each in enumerate(novelties) if each == novelty]
    for shown, words in _SHOWN.items():
        groups[f", {words}"] = [n for n, item in enumerate(items) if item.walk.shown is shown]
    rows = []
    for words, chosen in groups.items():
        if chosen:
            measure = _measurement(run, (items[n] for n in chosen))
            beside = {name: each[chosen] for name, each in baselines.items()}
            beside = {name: each for name, each in beside.items() if not np.isnan(each).all()}
            headlines = () if words else (SHUFFLED, RANDOM)
            name = f"what is said is done{words}{of}"
            rows += measure.rows(name, own[chosen], beside, headlines)
    return rows


def _sample(
    item: _Item, imagined: np.ndarray, truth: np.ndarray, end: np.ndarray, done: bool
) -> Sample:
    """Returns the start, the imagined views, where they lead, and where the expert ended."""
    panels = [Panel("start", item.frames[0])]
    panels += [Panel(f"imagined, {n}", view) for n, view in enumerate(imagined, start=1)]
    panels += [Panel("where that leads", end), Panel("the expert's end, decoded", truth)]
    lines = (
        ("said", item.walk.words),
        ("meant", item.walk.meaning),
        ("done", "yes" if done else "no"),
    )
    return Sample(InstructedWalks.section, lines, tuple(panels))
