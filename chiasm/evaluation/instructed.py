"""Instruction success: do the views that a model imagines after a sentence lead where it says?

From the first view of a held-out walk and the sentence with its progress marks the model imagines
the views on the way. The engine tells which walk they show
(:class:`~chiasm.worldmodel.tracker.Tracker`); its end has reached the goal or has not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.actions import marked
from chiasm.capabilities import Instructed, InstructedWalk
from chiasm.evaluation.evaluation import Findings, Panel, Sample
from chiasm.evaluation.material import spread
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.evaluation.strangers import NOBODY, strangers
from chiasm.inference.pictures import fitted, through_tokenizer
from chiasm.inference.pretrained import Pretrained
from chiasm.poses import Pose, relative_pose
from chiasm.worldmodel.oracle import Oracle
from chiasm.worldmodel.rollout import Context, Rollouts
from chiasm.worldmodel.tracker import Tracker

SECTION = "instructions"
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
    """One held-out instruction and the walk of one who did it."""

    index: int
    """Of the source's document."""
    walk: InstructedWalk
    frames: np.ndarray
    """uint8 [1 + S, H, W, 3]."""

    @property
    def num_steps(self) -> int:
        return self.walk.num_steps


def measure_instructions(
    pretrained: Pretrained, source: Instructed, settings: EvaluationSettings, of: str = ""
) -> Findings:
    """Success of imagined walks beside other sentences and a random walker, and the first walks.

    ``of`` follows the rows' names, where several sources are measured.

    Raises:
        UserError: a walk with another one's sentence is longer than the model's context.
    """
    items = _items(pretrained, source, settings.instructions)
    imagined = _imagine(pretrained, items, [item.walk.words for item in items], settings)
    words = _other_words(items, settings.seed)
    shuffled = _imagine(pretrained, items, words, settings)
    true = [through_tokenizer(pretrained, item.frames[1:]) for item in items]
    shape = pretrained.vision_tokenizer.image_shape
    with Oracle(source.camera(), pretrained.actions, shape) as oracle:
        tracker = Tracker(pretrained, oracle, source.steps_from)
        ways = _follow(tracker, items, (imagined, shuffled, true))
        ends = [
            oracle.look(items[n].walk.place, [ways[0][n][-1]])[0]
            for n in spread(len(items), settings.shown)
        ]
    own, other, ceiling = (
        np.array(
            [source.is_done(item.index, way[-1]) for item, way in zip(items, each, strict=True)],
            float,
        )
        for each in ways
    )
    baselines = {RANDOM: _random(source, items, settings.seed)}
    is_other = np.array([a != item.walk.words for a, item in zip(words, items, strict=True)])
    skipped = {}
    if is_other.any():
        baselines = {SHUFFLED: np.where(is_other, other, np.nan), **baselines}
    else:
        skipped[f"{SECTION}, {SHUFFLED}{of}"] = (
            "no sentence of another held-out map asks for something else; hold out more maps"
        )
    rows = _rows(items, own, baselines, settings, of)
    measure = _measurement(items, settings)
    name = f"what is said is done{of}"
    rows.append(measure.row(f"{name}, by the true views, decoded: the ceiling", ceiling))
    again = [_is_same_way(way, item.walk.poses) for item, way in zip(items, ways[2], strict=True)]
    rows.append(measure.row(f"walks found again step by step from their true views{of}", again))
    shown = spread(len(items), settings.shown).tolist()
    samples = [
        _sample(items[n], imagined[n], true[n][-1], end, own[n] > 0)
        for n, end in zip(shown, ends, strict=True)
    ]
    return Findings(rows, samples, skipped=skipped)


def _items(pretrained: Pretrained, source: Instructed, count: int) -> list[_Item]:
    """The first documents of the source, which scatters them over its places."""
    shape = pretrained.vision_tokenizer.image_shape
    items = []
    for number in range(min(count, source.num_walks)):
        walk = source.instructed_walk(number)
        frames = np.stack([fitted(view, shape) for view in walk.views])
        items.append(_Item(number, walk, frames))
    return sorted(items, key=lambda item: item.walk.place)


def _other_words(items: Sequence[_Item], seed: int) -> list[str]:
    """For each item a sentence of another map that asks for something else; its own without one."""
    meanings = [item.walk.meaning for item in items]
    found = strangers([item.walk.place for item in items], meanings, seed)
    return [
        items[number if other == NOBODY else other].walk.words for number, other in enumerate(found)
    ]


def _imagine(
    pretrained: Pretrained,
    items: Sequence[_Item],
    words: Sequence[str],
    settings: EvaluationSettings,
) -> list[np.ndarray]:
    """The views of each walk, uint8 [S, H, W, 3], in documents as in training."""
    most = max(item.num_steps for item in items)
    rollouts = Rollouts.instructed(pretrained, settings.imagining, most)
    contexts = [Context((item.frames[0],)) for item in items]
    scripts = [
        [marked(said, n, item.num_steps) for n in range(1, item.num_steps + 1)]
        for item, said in zip(items, words, strict=True)
    ]
    seeds = [settings.seed + number * most for number in range(len(items))]
    return rollouts.imagine(contexts, scripts, seed=seeds)


def _follow(
    tracker: Tracker, items: Sequence[_Item], kinds: Sequence[Sequence[np.ndarray]]
) -> list[list[list[Pose]]]:
    """For each kind of views the way of each item; all walks through a map are followed at once."""
    ways: list[list[list[Pose]]] = [[[] for _ in items] for _ in kinds]
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
    """Whether each step led to the same place; the engine rounds poses a little."""
    return all(
        math.hypot(dx, dy) < _SAME_METRES and abs(dyaw) < _SAME_DEGREES
        for dx, dy, dyaw in (relative_pose(a, b) for a, b in zip(way, other, strict=True))
    )


def _random(source: Instructed, items: Sequence[_Item], seed: int) -> np.ndarray:
    """How often a random walker with as many steps does what is said, for each item."""
    rng = np.random.default_rng(seed)
    return np.array(
        [
            np.mean([source.is_done(item.index, end) for end in _wandered(source, item.walk, rng)])
            for item in items
        ]
    )


def _wandered(source: Instructed, walk: InstructedWalk, rng: np.random.Generator) -> Iterator[Pose]:
    """Where random walks from the start of a walk end, as long as it is."""
    for _ in range(_TRIES):
        yield source.wander(walk.place, walk.poses[0], walk.num_steps, rng)[-1]


def _measurement(items: Iterable[_Item], settings: EvaluationSettings) -> Measurement:
    clusters = np.array([item.walk.place for item in items], np.int64)
    return Measurement(SECTION, "share", "higher", settings.seed, clusters)


def _rows(
    items: Sequence[_Item],
    own: np.ndarray,
    baselines: dict[str, np.ndarray],
    settings: EvaluationSettings,
    of: str,
) -> list[Row]:
    """All together, by what is new in the sentence, and by whether the goal is in view."""
    novelties = [item.walk.novelty for item in items]
    groups = {"": list(range(len(items)))}
    for novelty, words in _NOVELTIES.items():
        groups[f", {words}"] = [n for n, each in enumerate(novelties) if each == novelty]
    for shown, words in _SHOWN.items():
        groups[f", {words}"] = [n for n, item in enumerate(items) if item.walk.shown is shown]
    rows = []
    for words, chosen in groups.items():
        if chosen:
            measure = _measurement((items[n] for n in chosen), settings)
            beside = {name: each[chosen] for name, each in baselines.items()}
            beside = {name: each for name, each in beside.items() if not np.isnan(each).all()}
            headlines = () if words else (SHUFFLED, RANDOM)
            name = f"what is said is done{words}{of}"
            rows += measure.rows(name, own[chosen], beside, headlines)
    return rows


def _sample(
    item: _Item, imagined: np.ndarray, truth: np.ndarray, end: np.ndarray, done: bool
) -> Sample:
    """The start, the imagined views, where they lead, and where the expert came."""
    panels = [Panel("start", item.frames[0])]
    panels += [Panel(f"imagined, {n}", view) for n, view in enumerate(imagined, start=1)]
    panels += [Panel("where that leads", end), Panel("the expert's end, decoded", truth)]
    lines = (
        ("said", item.walk.words),
        ("meant", item.walk.meaning),
        ("done", "yes" if done else "no"),
    )
    return Sample(SECTION, lines, tuple(panels))
