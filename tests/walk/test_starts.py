"""Where walks begin."""

import io
import json
from itertools import pairwise, takewhile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from chiasm.assembly import open_held_out_walks
from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.inference.pictures import fitted
from chiasm.poses import relative_pose
from chiasm.recipe import parse_recipe
from chiasm.rgb import ImageShape
from chiasm.walk.starts import Starts, given_picture


@pytest.fixture
def shape(walker) -> ImageShape:
    return walker.pretrained.vision_tokenizer.image_shape


def encoded(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    PillowImage.new("L", (width, height), 90).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_start_is_a_view_of_the_world_and_knows_its_place(starts, world, shape) -> None:
    settings = world.settings
    start = starts.at(1, 2)
    frame = settings.frames_per_map + 2
    assert start.name == "map 1, view 2"
    assert start.place.place == world.map_of_frame[frame]
    assert start.place.pose == world.views[frame].pose
    expected = fitted(Image(world.frames[frame], target=False), shape)
    np.testing.assert_array_equal(start.view, expected)


def test_all_starts_are_different_clear_views(starts, world) -> None:
    names = {start.name for start in starts}
    assert names == {starts.name_of(number) for number in range(len(starts))}
    assert len(names) == len(starts) == len(world.clear_frames)
    assert len({start.place.place for start in starts}) == 2


@pytest.mark.parametrize(
    ("map_number", "view", "complaint"),
    [
        (2, 0, "--map 2: there are 2 held-out maps or trajectories; give 0 to 1"),
        (0, 9, "--view 9: .* 0 to 8"),
    ],
)
def test_starts_that_are_not_there(starts, map_number: int, view: int, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        starts.at(map_number, view)


def test_the_default_start_is_before_the_longest_way_straight_ahead(starts, world, shape) -> None:
    chosen = starts.open_way()
    [frame] = [n for n, view in enumerate(world.views) if view.pose == chosen.place.pose]
    [walk] = [walk for walk in world.walks if frame in walk]

    def ahead(walk: range) -> float:
        """Metres to the last frame that lies straight ahead of the first, one behind the other."""
        steps = [relative_pose(world.views[walk[0]].pose, world.views[n].pose) for n in walk]
        straight = takewhile(
            lambda pair: pair[1][0] > pair[0][0] and abs(pair[1][1]) < 0.1 * pair[1][0],
            pairwise(steps),
        )
        return max((step[0] for _, step in straight), default=0.0)

    own = ahead(range(frame, walk.stop))
    others = [
        ahead(range(n, each.stop)) for each in world.walks for n in each if n in world.clear_frames
    ]
    assert own == max(others) > 0


def test_without_held_out_views_a_picture_is_asked_for(shape) -> None:
    starts = Starts(shape)
    assert len(starts) == 0
    assert starts.open_way() is None
    with pytest.raises(UserError, match="give a picture with --image"):
        starts.at(0, 0)


def test_a_given_picture_is_cropped_and_has_no_place(shape) -> None:
    start = given_picture(encoded(30, 20), shape, "room.png")
    assert start.view.shape == (8, 8, 3)
    assert (start.view == 90).all()
    assert start.place is None


@pytest.mark.slow
def test_pictures_that_cannot_be_used(shape) -> None:
    with pytest.raises(UserError, match=r"broken\.png cannot be decoded"):
        given_picture(b"no picture", shape, "broken.png")
    with pytest.raises(UserError, match=r"half\.png cannot be decoded"):
        given_picture(encoded(30, 20)[:45], shape, "half.png")
    with pytest.raises(UserError, match="wide has 300 x 5 pixels; give 8 at least on the shorter"):
        given_picture(encoded(300, 5), shape, "wide")
    assert given_picture(encoded(300, 8), shape, "wide").view.shape == (8, 8, 3)
    with pytest.raises(UserError, match="9000 x 9000 pixels"):
        given_picture(encoded(9000, 9000), shape, "huge.png")


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Trajectories whose frames show in red whose they are and in green when they were taken."""
    for number in range(4):
        own = tmp_path / f"walk_{number}"
        own.mkdir()
        for k in range(6):
            PillowImage.new("RGB", (8, 8), (40 * number, 10 * k, 0)).save(own / f"{k}.png")
        poses = {"position": [[0.3 * k, number] for k in range(6)], "yaw": [0.0] * 6}
        (own / "traj_data.json").write_text(json.dumps(poses))
    return tmp_path


def test_recorded_walks_begin_at_held_out_frames_without_a_place(recorded: Path, shape) -> None:
    nav = {"kind": "trajectories", "task": "action_video", "path": str(recorded)}
    recipe = parse_recipe(
        {"name": "nav", "stream": {"sources": {"nav": nav | {"held_out_fraction": 0.5}}}}
    )
    starts = Starts(shape, open_held_out_walks(recipe))
    assert starts.rendered is None
    held_out = {int(start.view[0, 0, 0]) for start in starts}
    assert 1 <= len(held_out) < 4
    assert len(starts) == 6 * len(held_out)
    start = starts.at(0, 5)
    assert start.view[0, 0, 1] == 50
    assert start.place is None
    with pytest.raises(UserError, match="--view 6: there are 6 views of --map 0"):
        starts.at(0, 6)
