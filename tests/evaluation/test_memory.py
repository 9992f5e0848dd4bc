"""Memory, on world models that remember everything, nothing, or do not move."""

from dataclasses import replace

import numpy as np
import pytest

from chiasm.actions import ActionFormat
from chiasm.evaluation.evaluate import evaluate
from chiasm.evaluation.evaluation import Findings
from chiasm.evaluation.material import Material, NothingToMeasure
from chiasm.evaluation.memory import (
    ELSEWHERE,
    FORGOTTEN,
    LEFT,
    NOTHING,
    OTHER,
    Memory,
    remembered,
)
from chiasm.evaluation.pictures import psnr
from chiasm.evaluation.pieces import cut_pieces
from chiasm.evaluation.run import Run
from chiasm.inference.pictures import through_tokenizer
from chiasm.intervals import Verdict
from chiasm.poses import Pose, compose
from chiasm.worldmodel.rollout import Context, Rollouts

GIVEN = ", true views on the way"


@pytest.fixture(scope="module")
def source(material):
    return material.held_out["action_video"]


@pytest.fixture(scope="module")
def run(pretrained, material, settings) -> Run:
    asked = {"detours": 8, "detour_steps": (4, 2), "history_frames": 1}
    return Run(pretrained, material, settings.model_copy(update=asked))


def value(findings: Findings, name: str, baseline: str) -> tuple[float, float]:
    [row] = [row for row in findings.rows if (row.name, row.baseline_name) == (name, baseline)]
    return row.value, row.baseline


class Remembers:
    """Adds up the actions, and shows what was seen nearest to where they lead, decoded."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, contexts, actions, *, seed):
        return [self._views(*each) for each in zip(contexts, actions, strict=True)]

    def _views(self, context: Context, actions) -> np.ndarray:
        pose, poses = Pose(0, 0, 0), []
        for text in (*context.actions, *actions):
            poses.append(pose)
            pose = compose(pose, ActionFormat().read(text).step)
        poses.append(pose)
        seen = len(context.views)
        nearest = [min(range(seen), key=lambda n: apart(poses[n], p)) for p in poses[seen:]]
        return self._run.through_tokenizer(np.stack([context.views[n] for n in nearest]))


def apart(one: Pose, other: Pose) -> float:
    turn = (one.yaw_degrees - other.yaw_degrees + 180) % 360 - 180
    across = one.x_metres - other.x_metres, one.y_metres - other.y_metres
    return float(np.hypot(*across) + abs(turn) / 20)


def test_what_remembers_shows_the_view_that_was_left(run, source) -> None:
    found = remembered(run, source, Remembers(run))
    for steps in (2, 4):
        of = f"after a detour of {steps} steps{GIVEN}"
        for name in ("PSNR", "SSIM", "feature distance"):
            own, decoded = value(found, f"{name} of the imagined view {of}", LEFT)
            assert own == pytest.approx(decoded)
            other, elsewhere = (
                value(found, f"{name} of the imagined view {of}", each)[1]
                for each in (OTHER, ELSEWHERE)
            )
            assert other == pytest.approx(elsewhere)  # it remembers the other beginning
        recalled, otherwise = value(found, f"view recalled {of}", OTHER)
        assert recalled == pytest.approx(1)
        assert otherwise < 0.5
    verdicts = {
        r.verdict for r in found.rows if r.name.startswith("view recalled") and GIVEN in r.name
    }
    assert verdicts == {Verdict.BEATS}


def test_what_forgets_shows_another_room_and_recalls_nothing(run, source) -> None:
    elsewhere = run.fitted(run.material.train["action_video"].picture(0))

    def forgets(contexts, actions, *, seed):
        return [np.stack([elsewhere] * len(own)) for own in actions]

    found = remembered(run, source, forgets)
    for way in ("", GIVEN):
        name = f"view recalled after a detour of 4 steps{way}"
        assert value(found, name, NOTHING)[0] == pytest.approx(0, abs=1e-9)
        own, beginning = value(
            found, f"PSNR of the imagined view after a detour of 4 steps{way}", OTHER
        )
        assert own == pytest.approx(beginning)
        other_room, left = (
            value(found, f"PSNR of the imagined view after a detour of 4 steps{way}", each)[1]
            for each in (ELSEWHERE, LEFT)
        )
        assert own == pytest.approx(other_room, abs=3)
        assert own < left - 6


def test_what_does_not_move_recalls_nothing_and_is_told_so(run, source) -> None:
    """It shows the view that was left all the way, and so on return as well."""

    def stays(contexts, actions, *, seed):
        pairs = zip(contexts, actions, strict=True)
        return [run.through_tokenizer(np.stack([c.views[-1]] * len(own))) for c, own in pairs]

    found = remembered(run, source, stays)
    on_return, left = value(found, "PSNR of the imagined view after a detour of 4 steps", LEFT)
    assert on_return == pytest.approx(left)
    turning, stayed = value(
        found, "PSNR of the imagined view where a detour of 4 steps turns", LEFT
    )
    assert turning == pytest.approx(stayed)
    assert not any(
        row.verdict is Verdict.BEATS for row in found.rows if row.name.startswith("view recalled")
    )


def test_values_are_those_of_views_imagined_one_walk_at_a_time(run, source, pretrained) -> None:
    found = Memory().measure_walks(run, source, source)
    pieces = cut_pieces(run, source, 8, 2)
    rollouts = Rollouts.of(pretrained, run.settings.imagining)
    ends, alone = [], []
    for number, (frames, way) in enumerate(zip(pieces.frames, pieces.numbers, strict=True)):
        there = [source.action(a, a + 1) for a in way[:2]]
        back = [source.action(a, a - 1) for a in (way[2], way[1])]
        seed = run.settings.seed + 4 * number
        [views] = rollouts.imagine([Context((frames[0],))], [[*there, *back]], seed=seed)
        ends.append(views[-1])
        last = Context((views[-2],), num_imagined=1)
        alone.append(rollouts.imagine([last], [back[1:]], seed=seed)[0][0])
    name = "PSNR of the imagined view after a detour of 4 steps"
    own, without = value(found, name, FORGOTTEN)
    left = pieces.frames[:, 0]
    assert own == pytest.approx(psnr(np.stack(ends), left).mean(), rel=1e-3)
    assert without == pytest.approx(psnr(np.stack(alone), left).mean(), rel=1e-3)
    decoded = psnr(through_tokenizer(pretrained, left), left).mean()
    assert value(found, name, LEFT)[1] == pytest.approx(decoded)


def test_every_length_has_a_point_of_each_way_measure_and_baseline(run, source) -> None:
    found = remembered(run, source, Remembers(run), ", walks")
    assert {(p.source, p.measure, p.frames_ahead, p.row.baseline_name) for p in found.points} == {
        (f"walks{way}", measure, steps, contender)
        for way in ("", GIVEN)
        for measure in ("PSNR", "SSIM", "feature distance", "perceptual distance")
        for steps in (2, 4)
        for contender in (FORGOTTEN, OTHER, LEFT, ELSEWHERE)
    }
    assert {point.axis for point in found.points} == {"steps of the detour"}
    labels = [panel.label for panel in found.samples[0].panels]
    assert labels == [
        *("left", "left, decoded", "another room", "where detours of 2, 4 steps turn"),
        *("the same, imagined", "on return", f"on return {FORGOTTEN}", f"on return {OTHER}"),
    ]


def test_it_is_measured_where_detours_are_asked_for(run, pretrained, material, settings) -> None:
    sides = material.train, material.held_out
    own = Material(*({"action_video": side["action_video"]} for side in sides))
    asked = run.settings
    assert {row.section for row in evaluate(pretrained, own, asked, sections=["memory"]).rows} == {
        "memory"
    }
    none = evaluate(pretrained, own, settings, sections=["memory"])
    assert not none.rows
    assert not none.skipped
    still = replace(pretrained, walks=pretrained.walks.model_copy(update={"views": 0}))
    skipped = evaluate(still, own, asked, sections=["memory"]).skipped
    assert "trained without actions" in skipped["memory"]


def test_one_place_alone_has_no_other_room(run, source) -> None:
    class OnePlace:
        def __getattr__(self, name):
            return getattr(source, name)

        def place_of(self, frame: int) -> int:
            return 0

    found = remembered(run, OnePlace(), Remembers(run))
    assert "all held-out pieces are of one walk or map" in found.skipped[f"memory, {OTHER}"]
    assert {p.row.baseline_name for p in found.points} == {FORGOTTEN, LEFT}


def test_ways_longer_than_walks_are_told(run, source) -> None:
    long = run.settings.model_copy(update={"detour_steps": (40,)})
    with pytest.raises(NothingToMeasure, match="longer walks"):
        remembered(replace(run, settings=long), source, Remembers(run))
