"""Detours end exactly where they began, and show what lies between."""

from itertools import pairwise

import numpy as np
import pytest

from chiasm.actions import ActionFormat
from chiasm.evaluation.detours import GIVEN, IMAGINED, WAYS, Detours
from chiasm.evaluation.pieces import Pieces, cut_pieces
from chiasm.evaluation.run import Run
from chiasm.poses import Pose, compose, relative_pose


@pytest.fixture(scope="module")
def source(material):
    return material.held_out["action_video"]


@pytest.fixture(scope="module")
def pieces(pretrained, material, settings, source) -> Pieces:
    return cut_pieces(Run(pretrained, material, settings), source, 5, 4)


@pytest.mark.parametrize("steps", [2, 4, 8])
def test_a_detour_leads_over_the_walk_and_back_to_the_pose_it_left(
    pieces, source, steps: int
) -> None:
    detours = Detours.along(pieces, source, 2, steps)
    assert detours.views.shape[:2] == (5, 2 + steps)
    assert {len(own) for own in detours.actions} == {1 + steps}
    np.testing.assert_array_equal(detours.views[:, -1], detours.views[:, 1])
    np.testing.assert_array_equal(detours.views, detours.views[:, [0, *range(1 + steps, 0, -1)]])
    for number, actions in enumerate(detours.actions):
        first = pieces.numbers[number][0]
        way = [first, *range(first + 1, first + 2 + steps // 2)]
        way += reversed(range(first + 1, first + 1 + steps // 2))
        assert way[-1] == way[1]  # one frame, and so one pose
        assert actions == [source.action(a, b) for a, b in pairwise(way)]
        for view, frame in zip(detours.views[number], way, strict=True):
            np.testing.assert_array_equal(view, source.picture(frame).pixels())


def test_its_actions_say_so_too(pieces, source) -> None:
    """Up to the decimals that they are written with."""
    for actions in Detours.along(pieces, source, 1, 8).actions:
        pose = Pose(0, 0, 0)
        for text in actions:
            action = ActionFormat().read(text)
            assert action.horizon_frames == 1
            pose = compose(pose, action.step)
        dx, dy, dyaw = relative_pose(Pose(0, 0, 0), pose)
        assert abs(dx) < 0.1
        assert abs(dy) < 0.1
        assert dyaw == pytest.approx(0, abs=4)


def test_another_beginning_changes_what_was_given_and_nothing_else(pieces, source) -> None:
    detours = Detours.along(pieces, source, 2, 4)
    [*_, own], [*_, other] = detours.behind(range(5), 5), detours.behind([0, 0, 0, 0, 2], 5)
    np.testing.assert_array_equal(own.views, detours.views[4, :5])
    np.testing.assert_array_equal(other.views[:2], detours.views[2, :2])
    np.testing.assert_array_equal(other.views[2:], own.views[2:])
    assert other.actions == (detours.actions[2][0], *own.actions[1:])


@pytest.mark.parametrize("way", [IMAGINED, GIVEN])
def test_what_is_asked_for(pieces, source, way: str) -> None:
    """A world model that numbers its views says which context and which actions each one had."""
    detours, asked = Detours.along(pieces, source, 1, 4), []

    def imagine(contexts, actions, *, seed):
        asked.append((contexts, actions, seed))
        views = range(10 * len(asked), 10 * len(asked) + len(actions[0]))
        return [np.full((len(own), 2, 2, 3), [[[[n]]] for n in views], np.uint8) for own in actions]

    returns = WAYS[way](imagine, detours, [1, 2, 3, 4, 0], [7, 8, 9, 10, 11])
    by_views = {len(contexts[0].views): n for n, (contexts, _, _) in enumerate(asked)}
    own, other, alone = asked if way == IMAGINED else [asked[n] for n in (1, 2, 0)]
    assert by_views == ({1: 2} if way == IMAGINED else {4: 2, 1: 0})
    assert all(seed == [7, 8, 9, 10, 11] for *_, seed in asked)
    scripts = [actions[0 if way == IMAGINED else -1 :] for actions in detours.actions]
    assert own[1] == other[1] == scripts
    assert alone[1] == [actions[-1:] for actions in detours.actions]
    np.testing.assert_array_equal(other[0][0].views[0], detours.views[1, 0])
    [last] = alone[0][0].views
    if way == IMAGINED:
        assert (last == 12).all()  # the third of four imagined views
        assert alone[0][0].num_imagined == 1
        assert (returns.turned == 11).all()
        assert [int(each[0, 0, 0, 0]) for each in (returns.own, returns.other)] == [13, 23]
        assert (returns.forgotten == 30).all()
    else:
        np.testing.assert_array_equal(last, detours.views[0, 3])
        np.testing.assert_array_equal(own[0][0].views, detours.views[0, :4])
        assert {context.num_imagined for context in own[0] + alone[0]} == {0}
        assert [int(each[0, 0, 0, 0]) for each in (returns.own, returns.other)] == [20, 30]
        assert (returns.forgotten == 10).all()
