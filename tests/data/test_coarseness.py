import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.actions import Action, ActionFormat
from chiasm.data.coarseness import coarseness_notes, shares_lost, steps_between
from chiasm.poses import Pose, relative_pose


def straight(metres: float, length: int = 200, turn: float = 0.0) -> np.ndarray:
    numbers = np.arange(length, dtype=np.float64)
    return np.column_stack([metres * numbers, 0 * numbers, turn * numbers])


def test_steps_are_relative_poses():
    poses_T3 = np.random.default_rng(0).uniform(-400, 400, (50, 3))
    expected = [relative_pose(Pose(*a), Pose(*b)) for a, b in zip(poses_T3, poses_T3[3:])]  # noqa: B905
    assert steps_between(poses_T3[:-3], poses_T3[3:]) == pytest.approx(np.array(expected))


def test_slow_walks_lose_their_motion_and_fast_ones_none():
    form = ActionFormat()
    assert shares_lost([straight(0.004)], [1], form) == (1, 0)
    assert shares_lost([straight(0.04)], [1], form) == (0, 0)
    assert shares_lost([straight(0.0, turn=0.3)], [1], form) == (0, 1)
    share = shares_lost([straight(0.002), straight(0.04)], [1, 2], form).distance
    assert share == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("turn", [0.0, 2.0, 4.0])
def test_a_distance_is_lost_while_the_walk_turns(turn: float):
    """Each action has an angle, and none says how far it goes."""
    form = ActionFormat()
    yaw_T = np.cumsum(np.repeat(np.random.default_rng(1).choice([-turn, turn], 20), 10))
    way_T = 0.0015 * np.exp(1j * np.radians(yaw_T)).cumsum()
    poses_T3 = np.column_stack([way_T.real, way_T.imag, yaw_T])
    lost = shares_lost([poses_T3], [1], form)
    assert lost.distance > 0.95
    assert lost.angle == 0
    assert shares_lost([poses_T3 * [100, 100, 1]], [1], form) == (0, 0)
    (note,) = coarseness_notes("nav", [poses_T3], [1], 1, form)
    assert "written as no distance" in note
    assert "actions.distance_decimals to 3" in note
    assert "angle_decimals" not in note


def test_what_is_written_as_another_distance_is_lost_too():
    """6 mm are written as +0.01, and so are 14."""
    assert shares_lost([straight(0.006)], [1], ActionFormat()).distance == 1
    assert shares_lost([straight(0.014)], [1], ActionFormat()).distance == 0


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 99), metres=st.sampled_from([0.001, 0.003, 0.006, 0.01, 0.02]))
def test_standing_is_no_loss(seed: int, metres: float):
    rng = np.random.default_rng(seed)
    still = straight(0.0, 400)
    jitter = rng.normal(0, [metres, metres, 50 * metres], still.shape)
    assert shares_lost([still], [1, 4], ActionFormat()) == (0, 0)
    assert max(shares_lost([still + jitter], [1, 4], ActionFormat())) < 0.05
    assert max(shares_lost([straight(0.2, 400) + jitter], [1, 4], ActionFormat())) < 0.05
    walks_then_stands = np.concatenate([straight(0.5, 100), np.tile([50.0, 0, 0], (300, 1))])
    assert shares_lost([walks_then_stands], [1], ActionFormat()) == (0, 0)


def test_the_note_names_settings_that_help():
    walks, form = [straight(0.002, 400)], ActionFormat()
    (note,) = coarseness_notes("nav", walks, [1, 2], 1, form)
    assert note.startswith("100% of the actions of source nav are written as no distance")
    finer = re.search(r"raise actions\.distance_decimals to (\d)", note)
    wider = re.search(r"trajectories\.frame_spacing to (\d+)", note)
    assert finer
    assert wider
    told = form.model_copy(update={"distance_decimals": int(finer[1])})
    assert told.write(Action(0.002, 0, 0)) != told.write(Action(0, 0, 0))
    assert form.write(Action(0.002 * int(wider[1]), 0, 0)) != form.write(Action(0, 0, 0))
    assert "correct trajectories.metres_per_unit" in note
    assert not coarseness_notes("nav", [straight(0.1)], [1], 1, form)


def test_turns_ask_for_angles():
    (note,) = coarseness_notes("nav", [straight(0.0, turn=0.2)], [1], 1, ActionFormat())
    assert "written as no turn" in note
    assert "actions.angle_decimals to 1" in note
    assert "distance" not in note
    keys = ActionFormat(style="keys")
    (note,) = coarseness_notes("nav", [straight(0.1)], [1], 1, keys)
    assert "lower actions.stride_metres" in note
    (note,) = coarseness_notes("nav", [straight(2.0, 20, turn=3)], [1], 1, keys)
    assert "lower actions.turn_degrees" in note
