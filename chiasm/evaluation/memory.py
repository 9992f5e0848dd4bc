"""Memory: whether a view is the same when the walk comes back to it.

A detour leaves the last of a few given frames of a held-out walk and comes back over the same
poses: it ends exactly where it began, so that the view that is left is the truth of the return.

Shape suffixes: N detours, S steps of one, H and W height and width of a view in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from chiasm.capabilities import ActionVideos, PosedVideos
from chiasm.evaluation.evaluation import Findings, HorizonPoint, Panel, Sample, Strip
from chiasm.evaluation.horizons import ViewsAhead
from chiasm.evaluation.material import NothingToMeasure, spread
from chiasm.evaluation.measure import NO_POSES, WalkMeasure
from chiasm.evaluation.pictures import LIKENESS, Truth
from chiasm.evaluation.pieces import Pieces, cut_pieces
from chiasm.evaluation.rows import Row
from chiasm.evaluation.shared import WalkSettings
from chiasm.evaluation.strangers import NOBODY, strangers
from chiasm.poses import relative_pose

if TYPE_CHECKING:
    from chiasm.evaluation.detours import Imagine, Returns
    from chiasm.evaluation.run import Run

FORGOTTEN, OTHER = "from the last view alone", "behind another room's beginning"
LEFT, ELSEWHERE = "the view that was left, decoded", "another room, decoded"
NOTHING = "nothing"
AWAY_DEGREES = 90.0
"""From such a turn on, a view shows nothing of what was seen from the same place."""


class MemorySettings(WalkSettings):
    """How many places are left and come back to."""

    detours: int = Field(0, ge=0)
    """Held-out views that are left and come back to, by detours of each length; 0 leaves memory
    out."""
    detour_steps: tuple[Annotated[int, Field(ge=2, multiple_of=2)], ...] = Field(
        (2, 4, 8, 16), min_length=1
    )
    """Steps of the detours, half of them back."""


class Memory(WalkMeasure[MemorySettings]):
    """Likeness of the view on return to the one that was left, by the length of the detour.

    All lengths are measured from the same views.
    """

    section = "memory"
    settings = MemorySettings
    baselines = (
        "The way leads from the last of evaluation.history_frames frames of a held-out walk along "
        "that walk and back over the same poses: the last view is the one that was left. From the "
        "last view alone: the model is asked for the same step, and shown the view before it and "
        "nothing earlier, which is what it would imagine without memory. Behind another room's "
        "beginning: the same actions and noise, but what was given is of another map; where the "
        "views on the way are true, they still are, and only the view to remember is another one. "
        "Another room is the view that was given there. The view that was left, decoded, is a "
        "memory that loses nothing. Recalled is the share of the feature distance between the "
        "last view alone and that memory which the model makes up for. All have passed the same "
        "tokenizer."
    )
    heading = "Whether it remembers"
    lead = (
        "A view that is left, and in rows, by the length of the detour, where it turns, and what "
        "is imagined on return: behind that view, from the last view alone, and behind the view of "
        "another room."
    )

    def applies(self, run: Run[MemorySettings]) -> str:
        """Returns the reason why it cannot be measured; empty where it can, or is switched off."""
        if not run.settings.detours:
            return ""
        return super().applies(run) or ("" if self.sources(run) else NO_POSES)

    def sources(self, run: Run[MemorySettings]) -> Mapping[str, PosedVideos]:
        """Returns the held-out sources whose walks have poses, so that there is a way back."""
        return run.material.posed_videos()

    def measure(self, run: Run[MemorySettings]) -> Findings:
        """Returns the findings on each source, where detours are asked for."""
        return super().measure(run) if run.settings.detours else Findings()

    def measure_walks(
        self, run: Run[MemorySettings], train: ActionVideos, held_out: ActionVideos, of: str = ""
    ) -> Findings:
        """Returns the findings on one source.

        Raises:
            NothingToMeasure: no walk is as long as the way out, or the model was trained without
                actions.
        """
        from chiasm.worldmodel.rollout import Rollouts

        if not run.pretrained.walks.views:
            raise NothingToMeasure("the model was trained without actions")
        assert isinstance(held_out, PosedVideos)
        rollouts = Rollouts.of(run.pretrained, run.settings.imagining)
        return remembered(run, held_out, rollouts.imagine, of)


def remembered(
    run: Run[MemorySettings], source: PosedVideos, imagine: Imagine, of: str = ""
) -> Findings:
    """Returns the findings on whatever imagines views; ``of`` is appended to the names of rows.

    Raises:
        NothingToMeasure: no walk is as long as the way out.
    """
    from chiasm.evaluation.detours import IMAGINED, WAYS, Detours

    lengths, history = sorted(set(run.settings.detour_steps)), run.settings.history_frames
    pieces = cut_pieces(run, source, run.settings.detours, lengths[-1] // 2)
    others, skipped = _others(run, pieces, of)
    left = pieces.frames[:, history - 1]
    decoded, judge = run.through_tokenizer(left), Truth(run, left)
    beside = {LEFT: judge.likeness(decoded)}
    if others is not None:
        beside[ELSEWHERE] = judge.likeness(decoded[others])
    seeds = [run.settings.seed + number * lengths[-1] for number in range(len(pieces))]
    rows: list[Row] = []
    points: list[HorizonPoint] = []
    shown: dict[int, Returns] = {}
    for steps in lengths:
        detours = Detours.along(pieces, source, history, steps)
        away_N = _turned_away(pieces, source, history, steps)
        for way, imagined in WAYS.items():
            returns = imagined(imagine, detours, others, seeds)
            found = {name: judge.likeness(views) for name, views in _views(returns).items()}
            found |= beside
            headlines = (FORGOTTEN, OTHER) if way == IMAGINED else ()
            table = ViewsAhead(
                run, Memory.section, pieces.clusters, headlines, _after, "steps of the detour"
            )
            points += table.points(found, steps, lengths, f"{of}{way}", ("feature distance",))
            distance = {name: each["feature distance"] for name, each in found.items()}
            rows += _recalled(run, pieces.clusters, distance, away_N, f"{_after(steps)}{of}{way}")
            if returns.turned is not None:
                truth = Truth(run, pieces.frames[:, history - 1 + steps // 2])
                turned, stayed = truth.likeness(returns.turned), truth.likeness(decoded)
                rows += _turned(run, pieces.clusters, turned, stayed, f"of {steps} steps{of}")
                shown[steps] = returns
    rows += [point.row for point in points]
    chosen = spread(len(pieces), run.settings.shown).tolist()
    samples = [_sample(pieces, history, decoded, shown, others, number) for number in chosen]
    return Findings(rows, samples, points, skipped)


def _others(
    run: Run[MemorySettings], pieces: Pieces, of: str
) -> tuple[list[int] | None, dict[str, str]]:
    """Returns the number of a piece of another place for each one, or the reason why there is none
    for some.
    """
    others = strangers(pieces.clusters, range(len(pieces)), run.settings.seed)
    if (others != NOBODY).all():
        return others.tolist(), {}
    why = "all held-out pieces are of one walk or map; hold out more walks"
    return None, {f"{Memory.section}, {OTHER}{of}": why}


def _turned_away(pieces: Pieces, source: PosedVideos, history: int, steps: int) -> np.ndarray:
    """Returns whether each detour turns back where it looks elsewhere: bool [N]."""
    ends = [(own[history - 1], own[history - 1 + steps // 2]) for own in pieces.numbers]
    turns = [relative_pose(source.pose(left), source.pose(turned))[2] for left, turned in ends]
    return np.abs(turns) >= AWAY_DEGREES


def _views(returns: Returns) -> dict[str, np.ndarray]:
    """Returns the views on return by name of the baseline; the model's own under ``""``."""
    found = {"": returns.own, FORGOTTEN: returns.forgotten}
    return found if returns.other is None else found | {OTHER: returns.other}


def _after(steps: int) -> str:
    return f"after a detour of {steps} steps"


def _turned(
    run: Run[MemorySettings],
    clusters: np.ndarray,
    turned: Mapping[str, np.ndarray],
    stayed: Mapping[str, np.ndarray],
    of: str,
) -> Iterator[Row]:
    """Yields whether the imagined way leads away: the view where it turns, beside the view that was
    left, which a model that does not move shows all the way.
    """
    for name, unit in LIKENESS.items():
        measure = run.measurement(Memory.section, *unit, clusters)
        title = f"{name} of the imagined view where a detour {of} turns"
        yield measure.row(title, turned[name], stayed[name], LEFT)


def _recalled(
    run: Run[MemorySettings],
    clusters: np.ndarray,
    distance: Mapping[str, np.ndarray],
    away_N: np.ndarray,
    of: str,
) -> Iterator[Row]:
    """Yields the share of what is lost without memory that is made up for, beside nothing and the
    same behind another beginning; of all detours, and of those that turn away.

    ``distance`` has that of the imagined views under ``""``, and those of the baselines.
    """
    gains = {name: distance[FORGOTTEN] - each for name, each in distance.items()}
    for chosen_N, words in ((np.full(len(away_N), True), ""), (away_N, ", turned away")):
        lost = gains[LEFT][chosen_N]
        if lost.sum() <= 0:
            continue  # there is nothing to remember
        measure = run.measurement(Memory.section, "share", "higher", clusters[chosen_N], lost)
        baselines = {NOTHING: np.zeros(len(lost))}
        if OTHER in gains:
            baselines[OTHER] = gains[OTHER][chosen_N]
        yield from measure.rows(f"view recalled {of}{words}", gains[""][chosen_N], baselines)


def _sample(
    pieces: Pieces,
    history: int,
    decoded: np.ndarray,
    shown: Mapping[int, Returns],
    others: Sequence[int] | None,
    number: int,
) -> Sample:
    """Returns the view that is left, and by length of the detour where it turns and the returns."""

    def strip(label: str, views: Iterable[np.ndarray | None]) -> Strip:
        return Strip.of(label, np.stack([each[number] for each in views if each is not None]))

    left, returns = history - 1, shown.values()
    panels = [Panel("left", pieces.frames[number, left]), Panel("left, decoded", decoded[number])]
    if others is not None:
        panels.append(Panel("another room", pieces.frames[others[number], left]))
    lengths = f"{', '.join(map(str, shown))} steps"
    panels += [
        strip(f"where detours of {lengths} turn", (pieces.frames[:, left + n // 2] for n in shown)),
        strip("the same, imagined", (each.turned for each in returns)),
        strip("on return", (each.own for each in returns)),
        strip(f"on return {FORGOTTEN}", (each.forgotten for each in returns)),
    ]
    if others is not None:
        panels.append(strip(f"on return {OTHER}", (each.other for each in returns)))
    return Sample(Memory.section, (), tuple(panels))
