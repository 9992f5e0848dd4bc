import re

import numpy as np
import pytest

from chiasm.actions import Action, ActionFormat
from chiasm.data.coarseness import coarseness_note, share_lost, steps_between
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
    assert share_lost([straight(0.004)], [1], form) == 1
    assert share_lost([straight(0.04)], [1], form) == 0
    assert share_lost([straight(0.0, turn=0.3)], [1], form) == 1
    assert share_lost([straight(0.004), straight(0.04)], [1, 2], form) == pytest.approx(
        0.25, abs=0.01
    )


def test_standing_is_no_loss():
    rng = np.random.default_rng(0)
    still = straight(0.0)
    jitter = still + rng.normal(0, [0.001, 0.001, 0.1], still.shape)
    assert share_lost([still], [1, 4], ActionFormat()) == 0
    assert share_lost([jitter], [1, 4], ActionFormat()) < 0.01
    walks_then_stands = np.concatenate([straight(0.5, 100), np.tile([50.0, 0, 0], (300, 1))])
    assert share_lost([walks_then_stands], [1], ActionFormat()) == 0


def test_the_note_names_settings_that_help():
    walks, form = [straight(0.002, 400)], ActionFormat()
    note = coarseness_note("nav", walks, [1, 2], 1, form)
    assert note.startswith("100% of the actions of source nav are written as no motion")
    finer = re.search(r"raise actions\.distance_decimals to (\d)", note)
    wider = re.search(r"trajectories\.frame_spacing to (\d+)", note)
    assert finer
    assert wider
    told = form.model_copy(update={"distance_decimals": int(finer[1])})
    assert told.write(Action(0.002, 0, 0)) != told.write(Action(0, 0, 0))
    assert form.write(Action(0.002 * int(wider[1]), 0, 0)) != form.write(Action(0, 0, 0))
    assert not coarseness_note("nav", [straight(0.1)], [1], 1, form)


def test_turns_ask_for_angles():
    note = coarseness_note("nav", [straight(0.0, turn=0.2)], [1], 1, ActionFormat())
    assert "actions.angle_decimals to 1" in note
    keys = coarseness_note("nav", [straight(0.1)], [1], 1, ActionFormat(style="keys"))
    assert "lower actions.stride_metres and actions.turn_degrees" in keys
