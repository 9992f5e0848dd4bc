"""The engine in the place of a model: it shows what the world's own frames show."""

from itertools import pairwise

import numpy as np
import pytest

from chiasm.actions import Action, ActionFormat
from chiasm.documents import Split
from chiasm.errors import UserError
from chiasm.poses import relative_pose
from chiasm.rgb import ImageShape
from chiasm.worldmodel.oracle import Oracle, PlacedContext
from chiasm.worldmodel.rollout import Context
from chiasm.worlds.maps import UNITS_PER_METRE, generate_map
from chiasm.worlds.sources import WorldSource

FORMAT = ActionFormat()
SHAPE = ImageShape(32, 32, 2, 2)


def context(source: WorldSource, frame: int) -> PlacedContext:
    view = source.picture(frame).pixels()
    return PlacedContext((view,), place=source.place_of(frame), pose=source.pose(frame))


def oracle(source: WorldSource, *, stops_at_walls: bool = True) -> Oracle:
    return Oracle(source.camera(), FORMAT, SHAPE, stops_at_walls=stops_at_walls)


@pytest.mark.slow
def test_along_recorded_walks_of_several_archives_it_shows_their_frames(walks):
    source = walks[Split.HELD_OUT]
    chosen = [source.walks[0], source.walks[-1], source.walks[1]]
    texts = [[source.action(a, b) for a, b in pairwise(walk)] for walk in chosen]
    with oracle(source, stops_at_walls=False) as engine:
        starts = [context(source, walk[0]) for walk in chosen]
        shown = engine.imagine(starts, texts)
        again = engine.imagine(starts, texts)
        ends = engine.ends(starts, texts)
        poses = [engine.walk(*each) for each in zip(starts, texts, strict=True)]
    np.testing.assert_array_equal(ends, np.stack([views[-1] for views in again]))
    for walk, views, same, own in zip(chosen, shown, again, poses, strict=True):
        truth = np.stack([source.picture(frame).pixels() for frame in walk[1:]])
        # Steps are written in centimetres, and water and flames move.
        assert abs(views.astype(int) - truth).mean() < 8
        assert np.array_equal(views, same)
        for frame, pose in zip(walk[1:], own, strict=True):
            dx, dy, dyaw = relative_pose(source.pose(frame), pose)
            assert abs(dx) < 0.06
            assert abs(dy) < 0.06
            assert abs(dyaw) < 1


@pytest.mark.slow
def test_a_wall_stops_a_step_or_leaves_only_black(walks):
    source = walks[Split.HELD_OUT]
    start = context(source, source.walks[0][0])
    far = [FORMAT.write(Action(40, 0, 90)), FORMAT.write(Action(0, 0, 20))]
    with oracle(source) as engine:
        first, second = engine.walk(start, far)
        [views] = engine.imagine([start], [far])
    world_map = generate_map(source.world.settings.seed, start.place)
    assert world_map.is_free(
        first.x_metres * UNITS_PER_METRE, first.y_metres * UNITS_PER_METRE, 36, 68
    )
    assert relative_pose(start.pose, second)[2] == pytest.approx(110, abs=0.01)
    assert views.any()
    with oracle(source, stops_at_walls=False) as engine:
        [views] = engine.imagine([start], [[FORMAT.write(Action(0, 0, 20)), *far]])
    assert [bool(view.any()) for view in views] == [True, False, False]


def test_it_has_to_know_where_it_stands_and_where_an_action_leads(walks):
    source = walks[Split.HELD_OUT]
    start = context(source, source.walks[0][0])
    with oracle(source) as engine:
        with pytest.raises(ValueError, match="PlacedContext"):
            engine.imagine([Context(start.views)], [["action: W"]])
        with pytest.raises(UserError, match="cannot be read"):
            engine.imagine([start], [["action: go to the red torch"]])
