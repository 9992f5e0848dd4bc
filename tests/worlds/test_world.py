import pickle
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from chiasm.documents import Split
from chiasm.worlds.maps import generate_map
from chiasm.worlds.settings import WorldSettings, map_seed
from chiasm.worlds.sounds import PERIOD_SAMPLES
from chiasm.worlds.world import SOUNDS, World, view_from_json, view_to_json


def test_splits_share_no_map(train: World, held_out: World):
    assert not set(train.map_of_frame) & set(held_out.map_of_frame)
    seeds = {split: {map_seed(split, number) for number in range(3000)} for split in Split}
    assert not seeds[Split.TRAIN] & seeds[Split.HELD_OUT]
    with pytest.raises(ValidationError):
        WorldSettings(train_maps=1_000_001)  # would reach into the held-out range


def test_splits_share_no_picture(train: World, held_out: World):
    seen = {frame.tobytes() for frame in train.frames}
    assert not any(frame.tobytes() in seen for frame in held_out.frames)


def test_frames_and_views_stand_side_by_side(train: World, settings: WorldSettings):
    assert train.frames.shape == (10 * settings.frames_per_map, 64, 64, 3)
    assert train.frames.dtype == np.uint8
    assert isinstance(train.frames.base, np.memmap)
    assert len(train) == len(train.views) == len(train.map_of_frame)
    frame, view = next(iter(train))
    assert frame.shape == (64, 64, 3)
    assert view == train.views[0]
    assert min(float(frame.std()) for frame in train.frames) > 5.0  # none is blank


def test_most_frames_are_clear(train: World):
    assert len(train.clear_frames) > 0.7 * len(train)


def test_walks_stay_in_one_map_and_after_the_still_views(train: World, settings: WorldSettings):
    assert len(train.walks) == 10 * settings.walks_per_map
    for walk in train.walks:
        assert len({train.views[frame].map_seed for frame in walk}) == 1
        assert walk[0] % settings.frames_per_map >= settings.views_per_map
    frames = [frame for walk in train.walks for frame in walk]
    assert len(set(frames)) == len(frames)
    assert len(train.steps) == len(train.walks) * (settings.frames_per_walk - 1)
    step = train.steps[0]
    assert (step.after, step.map_seed) == (step.before + 1, train.views[step.before].map_seed)


def test_a_view_survives_its_line(train: World):
    for view in train.views[:50]:
        assert view_from_json(view_to_json(view)) == view


def test_a_view_tells_of_sounds_where_the_world_has_any(train: World, sounding: World):
    assert all("hearing" not in view_to_json(view) for view in train.views[:50])
    for view in sounding.views[:50]:
        assert view_from_json(view_to_json(view)) == view
    assert train.sounds is None
    assert not (train.folder / SOUNDS).exists()
    assert sounding.sounds.shape == (len(sounding), 2, PERIOD_SAMPLES)
    assert sounding.sounds.dtype == np.int16


def test_sounds_change_no_picture_whose_floors_stand_still(train: World, sounding: World):
    """Water, lava and slime flow on while one listens."""
    same = 0
    for own, other, view, known in zip(
        train.frames, sounding.frames, train.views, sounding.views, strict=True
    ):
        assert replace(known, hearing=None) == view
        world_map = generate_map(0, view.map_seed)
        if not {"water", "lava", "slime"} & {room.floor for room in world_map.rooms}:
            np.testing.assert_array_equal(own, other)
            same += 1
    assert same >= train.settings.frames_per_map


def test_another_process_opens_the_same_files(train: World):
    pickled = pickle.dumps(train)
    assert len(pickled) < 10_000
    assert pickle.loads(pickled).views == train.views


def test_a_span_longer_than_a_walk_is_refused():
    with pytest.raises(ValidationError, match="frames_per_walk = 4"):
        WorldSettings(frames_per_walk=4, video_frames=(3, 5))
