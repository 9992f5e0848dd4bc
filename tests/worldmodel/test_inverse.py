"""Plans by the action that a model writes between two views."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from chiasm.actions import ActionFormat
from chiasm.assembly import open_material, train_run
from chiasm.capabilities import PosedVideos
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.walks import WalkDocuments
from chiasm.poses import Pose, compose, relative_pose
from chiasm.recipe import load_recipe
from chiasm.worldmodel.inverse import InverseDynamicsPlanner
from chiasm.worldmodel.planner import build_prior
from chiasm.worldmodel.proposals import StepPaths
from chiasm.worldmodel.rollout import Context, Rollouts
from chiasm.worldmodel.settings import PlannerSettings

FORMAT = ActionFormat()
KINDS = np.array([[1, 0, 0], [0, 0, 90], [0, 0, -90], [-1, 0, 0.0]])
PATHS = StepPaths(KINDS, np.tile([0.4, 0.3, 0.2, 0.1], (3, 1)))
RECIPE = """
name = "inverse"
[world]
train_maps = 1
held_out_maps = 1
views_per_map = 0
walks_per_map = 1
frames_per_walk = 3
video_frames = [2, 2]
action_video_frames = [2, 2]
[tokenizer]
vocabulary_tokens = 300
[stream]
sequence_length = 64
batch_size = 2
lanes = 2
[stream.sources]
steps = { kind = "world", task = "inverse_dynamics" }
[streams.image]
kind = "pixels"
patch_pixels = 32
[model]
width = 32
depth = 2
query_heads = 2
key_value_heads = 2
[training]
steps = 150
validation_batches = 0
device = "cpu"
[training.optimizer]
learning_rate = 1e-2
[training.schedule]
warmup_steps = 10
"""


def flat_cost(pictures_NHW3: np.ndarray, goal_HW3: np.ndarray) -> np.ndarray:
    return abs(pictures_NHW3.astype(float) - goal_HW3).mean((1, 2, 3))


@pytest.mark.slow
def test_what_a_model_has_seen_is_planned(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "recipe.toml")
    train_run(recipe, tmp_path / "run")
    pretrained = Pretrained.load(tmp_path / "run")
    assert pretrained.walks.inverse
    source = open_material(recipe).train["steps"]
    assert isinstance(source, PosedVideos)
    proposal = build_prior(PlannerSettings(steps=2), source, FORMAT)
    planner = InverseDynamicsPlanner(pretrained, proposal, FORMAT)
    [walk] = source.walks
    world_model = Rollouts(Sampler(pretrained), SamplingSettings(steps=1, guidance=1.0))
    for before, after in pairwise(walk):
        views = [source.picture(frame).pixels() for frame in (before, after)]
        context, goal = Context((views[0],)), views[1]
        step = FORMAT.read(source.action(before, after)).step
        np.testing.assert_array_equal(planner.step(context, goal), step)
        plan = planner.plan(world_model, context, goal, flat_cost)
        expected = proposal.actions(proposal.leading_to(np.array(step)))
        assert plan.actions == tuple(map(FORMAT.write, expected))


def test_words_that_are_no_action_leave_a_plan_that_stays(sampler) -> None:
    walks = WalkDocuments(views=2, inverse=True)
    planner = InverseDynamicsPlanner(replace(sampler.pretrained, walks=walks), PATHS, FORMAT)
    views = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(planner.step(Context((views[0],)), views[1]), 0)


def test_a_model_without_such_documents_is_refused(sampler) -> None:
    with pytest.raises(UserError, match=r"method = 'inverse_dynamics' needs a model .*cross_ent"):
        InverseDynamicsPlanner(sampler.pretrained, PATHS, FORMAT)


@pytest.mark.parametrize("path", [(0, 0, 1), (1, 0, 2), (0, 1, 0), (3, 3, 3)])
def test_the_path_to_a_pose_ends_there(path: tuple[int, ...]) -> None:
    start = Pose(0, 0, 0)

    def end(numbers: np.ndarray) -> np.ndarray:
        pose = start
        for number in numbers:
            pose = compose(pose, tuple(KINDS[number]))
        return np.array(relative_pose(start, pose))

    wanted = end(np.array(path))
    found = PATHS.leading_to(wanted + np.array([0.05, -0.05, 4.0]))
    np.testing.assert_allclose(end(found), wanted, atol=1e-9)


def test_of_paths_to_one_pose_the_most_usual_is_taken() -> None:
    """A quarter to the left and one to the right end as two the other way round."""
    ahead = PATHS.leading_to(np.array([1.0, 0.0, 0.0]))
    assert sorted(ahead) == [0, 1, 2]
    often = StepPaths(KINDS, np.array([[0.1, 0.1, 0.7, 0.1], [0.7, 0.1, 0.1, 0.1], [0.1] * 4]))
    assert often.leading_to(np.array([0.0, -1.0, 0.0])).tolist() == [2, 0, 1]


def test_too_many_paths_are_drawn() -> None:
    long = StepPaths(KINDS, np.tile([0.7, 0.1, 0.1, 0.1], (12, 1)))
    found = long.leading_to(np.array([12.0, 0.0, 0.0]))
    assert found.tolist() == [0] * 12
