"""Instruction success: whether imagined walks after an instruction lead where it says.

The walks are those of :mod:`chiasm.evaluation.spoken`: imagined from the first view alone, or step
by step with what is truly seen in between. A walk's end tells whether it is done.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from chiasm.capabilities import Instructed
from chiasm.errors import UserError
from chiasm.evaluation.evaluation import Findings, Sample, Strip
from chiasm.evaluation.material import spread
from chiasm.evaluation.measure import NO_DECODER, Measure
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.spoken import InstructedSettings, Spoken, SpokenWalks
from chiasm.poses import Pose, relative_pose

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run
    from chiasm.worldmodel.closed_loop import Walked

NO_INSTRUCTIONS = (
    "no source has walks after instructions; one that does is stream.sources.NAME.kind = 'world' "
    "with task = 'instructions'; or set evaluation.instructions = 0"
)
RANDOM, SHUFFLED = "random walker", "other sentences"
CLOSED = ", in the closed loop"
"""Suffix of the names of rows on walks that go on from what is truly seen."""
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


class InstructedWalks(Measure[InstructedSettings]):
    """Success of imagined walks, beside other sentences and a random walker; the first walks."""

    section = "instructions"
    settings = InstructedSettings
    baselines = (
        "The model imagines the views after a sentence. The engine photographs every step that "
        "the expert could take, and the photograph nearest to the imagined view, both through the "
        "same tokenizer, says which step it was; what is said is done when the walk that is found "
        "so ends at the goal. Either all views are imagined from the first one, or, in the closed "
        "loop, each step is taken in the engine as soon as it is imagined, and the next one is "
        "imagined from what is seen there. Other sentences: the same first view and noise with a "
        "sentence of another map that asks for something else. The random walker takes as many "
        "steps from the same start. The true views, decoded, show what the measure itself loses."
    )
    heading = "Where it goes when told"
    lead = (
        "The views that it imagines after a sentence, from the first view alone and in the closed "
        "loop; what is truly seen where they lead, by the engine; and the expert's way."
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

        spoken = SpokenWalks.of(run, source)
        items, own, other = spoken.items, spoken.words, spoken.other_words()
        imagined = [spoken.imagine(words) for words in (own, other)]
        true = [run.through_tokenizer(item.frames[1:]) for item in items]
        with Oracle(source.camera(), run.pretrained.actions, run.image_shape) as oracle:
            tracker = Tracker(run.pretrained, oracle, source.steps_from)
            shown, acted = spoken.follow(tracker, [*imagined, true], [own, other])
        is_other = np.array([a != b for a, b in zip(own, other, strict=True)])
        skipped = {}
        if not is_other.any():
            skipped[f"{self.section}, {SHUFFLED}{of}"] = (
                "no sentence of another held-out map asks for something else; hold out more maps"
            )
        rows, random = [], spoken.wandered()
        for loop, (walks, told_other) in {"": shown[:2], CLOSED: acted}.items():
            baselines = {RANDOM: random}
            if is_other.any():
                done = np.where(is_other, spoken.are_done(told_other), np.nan)
                baselines = {SHUFFLED: done, **baselines}
            rows += _rows(run, items, spoken.are_done(walks), baselines, loop + of)
        measure, truth = _measurement(run, items), shown[2]
        name = f"what is said is done{of}, by the true views, decoded: the ceiling"
        rows.append(measure.row(name, spoken.are_done(truth)))
        again = [
            _is_same_way(walk.poses, item.walk.poses)
            for walk, item in zip(truth, items, strict=True)
        ]
        rows.append(measure.row(f"walks found again step by step from their true views{of}", again))
        done_N = [spoken.are_done(walks) > 0 for walks in (shown[0], acted[0])]
        samples = [
            _sample(items[n], shown[0][n], acted[0][n], [bool(done[n]) for done in done_N])
            for n in spread(len(items), run.settings.shown).tolist()
        ]
        return Findings(rows, samples, skipped=skipped)


def _is_same_way(way: Sequence[Pose], other: Sequence[Pose]) -> bool:
    """Returns whether each step led to the same pose, up to the engine's rounding."""
    return all(
        math.hypot(dx, dy) < _SAME_METRES and abs(dyaw) < _SAME_DEGREES
        for dx, dy, dyaw in (relative_pose(a, b) for a, b in zip(way, other, strict=True))
    )


def _measurement(run: Run[InstructedSettings], items: Sequence[Spoken]) -> Measurement:
    clusters = np.array([item.walk.place for item in items], np.int64)
    return run.measurement(InstructedWalks.section, "share", "higher", clusters)


def _rows(
    run: Run[InstructedSettings],
    items: Sequence[Spoken],
    own: np.ndarray,
    baselines: Mapping[str, np.ndarray],
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
            measure = _measurement(run, [items[n] for n in chosen])
            beside = {name: each[chosen] for name, each in baselines.items()}
            beside = {name: each for name, each in beside.items() if not np.isnan(each).all()}
            headlines = () if words else (SHUFFLED, RANDOM)
            name = f"what is said is done{words}{of}"
            rows += measure.rows(name, own[chosen], beside, headlines)
    return rows


def _sample(item: Spoken, imagined: Walked, acted: Walked, done: Sequence[bool]) -> Sample:
    """Returns rows of views: imagined from the first one, the closed loop's, and the expert's."""
    panels = (
        Strip.of("imagined from the first view", [None, *imagined.imagined]),
        Strip.of("where that leads", [None, *imagined.seen]),
        Strip.of("closed loop: imagined at each step", [None, *acted.imagined]),
        Strip.of("closed loop: seen behind each step", [None, *acted.seen]),
        Strip.of("the expert's way", item.frames),
    )
    told, in_the_loop = ("yes" if each else "no" for each in done)
    lines = (
        ("said", item.walk.words),
        ("meant", item.walk.meaning),
        ("done", told),
        ("done in the closed loop", in_the_loop),
    )
    return Sample(InstructedWalks.section, lines, panels)
