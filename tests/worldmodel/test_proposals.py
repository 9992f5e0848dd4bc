"""What planners try: priors from walks, and refits against the plain formulas."""

import math

import numpy as np
import pytest

from chiasm.actions import ActionFormat
from chiasm.documents import Split
from chiasm.errors import UserError
from chiasm.poses import Pose, compose
from chiasm.worldmodel.proposals import (
    StepPaths,
    StraightPaths,
    horizon_of,
    motions,
    step_prior,
    straight_prior,
)


def poses_of(actions):
    poses = [Pose(0, 0, 0)]
    for action in actions:
        poses.append(compose(poses[-1], action.step))
    return poses[1:]


def test_a_straight_path_keeps_its_line_and_turns_at_the_end():
    paths = StraightPaths(np.zeros(3), np.ones(3), 4, horizon_frames=2)
    actions = paths.actions(np.array([0.3, -0.4, 25.0]))
    poses = poses_of(actions)
    for step, pose in enumerate(poses, 1):
        assert (pose.x_metres, pose.y_metres) == pytest.approx((0.3 * step, -0.4 * step))
    heading = math.degrees(math.atan2(-0.4, 0.3))
    assert poses[0].yaw_degrees == pytest.approx(heading % 360)
    assert poses[-1].yaw_degrees == pytest.approx((heading + 25) % 360)
    assert {action.horizon_frames for action in actions} == {2}


def test_a_straight_refit_is_the_elites_mean_and_deviation():
    rng = np.random.default_rng(0)
    prior = StraightPaths(np.ones(3), np.ones(3), 8)
    paths = prior.draw(20, rng)
    weight = np.zeros(20)
    weight[[3, 7, 11, 2, 19]] = 1
    elites = paths[weight == 1]
    fitted = prior.refit(paths, weight, 0.0)
    assert fitted.mean_3 == pytest.approx(elites.mean(0))
    assert fitted.deviation_3 == pytest.approx(elites.std(0, ddof=1))
    half = prior.refit(paths, weight, 0.5)
    assert half.mean_3 == pytest.approx((1 + elites.mean(0)) / 2)
    assert (prior.refit(paths, np.eye(20)[4], 0.0).deviation_3 == 0).all()


def test_steps_are_drawn_by_their_shares_and_refitted_to_the_elites():
    kinds = np.array([[1, 0, 0], [0, 0, 20], [0, 0, -20.0]])
    share = np.array([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]])
    paths = StepPaths(kinds, share)
    drawn = paths.draw(4000, np.random.default_rng(0))
    assert np.bincount(drawn[:, 0]) / 4000 == pytest.approx(share[0], abs=0.03)
    assert (drawn[:, 1] == 1).all()
    weight = np.zeros(4000)
    weight[:4] = 1
    fitted = paths.refit(drawn, weight, 0.25)
    for step in range(2):
        counts = np.bincount(drawn[:4, step], minlength=3) / 4
        assert fitted.share_SK[step] == pytest.approx(0.25 * share[step] + 0.75 * counts)
    assert paths.log_density(np.array([[0, 1], [2, 1]])) == pytest.approx(np.log([0.5, 0.2]))


def test_the_worlds_walks_have_their_few_kinds_of_steps(walks):
    prior = step_prior(motions(walks[Split.TRAIN]), 3, 1)
    forward = abs(prior.kinds_K3[:, 0])
    assert len(prior.kinds_K3) <= 14
    assert (np.minimum(forward, abs(forward - 1)) < 0.03).all()
    assert abs(prior.kinds_K3[:, 1]).max() < 0.05
    assert prior.kinds_K3[:, 2] == pytest.approx(20 * np.round(prior.kinds_K3[:, 2] / 20), abs=0.1)
    assert prior.share_SK.sum(1) == pytest.approx(1)
    assert horizon_of(walks[Split.TRAIN], ActionFormat()) == 1


def test_a_straight_prior_is_where_walks_end():
    ends = np.array([[2.0, 0.0, 30.0], [4.0, 0.0, 10.0]])
    prior = straight_prior(ends, 4, 1)
    assert prior.mean_3 == pytest.approx([0.75, 0, 20])
    assert prior.deviation_3 == pytest.approx([0.25, 0, 10])


def test_steps_beyond_the_walks_are_refused(walks):
    with pytest.raises(UserError, match=r"^steps = 9 is longer than every walk"):
        motions(walks[Split.TRAIN], 9)
