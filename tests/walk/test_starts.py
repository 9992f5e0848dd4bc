"""Where walks begin."""

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from chiasm.data.batch import ImageShape
from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.inference.pictures import fitted
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
    assert start.place.map_seed == world.map_of_frame[frame]
    assert start.place.pose == world.views[frame].pose
    expected = fitted(Image(world.frames[frame], target=False), shape)
    np.testing.assert_array_equal(start.view, expected)


def test_all_starts_are_different_clear_views(starts, world) -> None:
    names = {start.name for start in starts}
    assert len(names) == len(starts) == len(world.clear_frames)
    assert len({start.place.map_seed for start in starts}) == 2


@pytest.mark.parametrize(
    ("map_number", "view", "complaint"),
    [(2, 0, "--map 2: there are 2 held-out maps; give 0 to 1"), (0, 9, "--view 9: .* 0 to 8")],
)
def test_starts_that_are_not_there(starts, map_number: int, view: int, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        starts.at(map_number, view)


def test_without_held_out_views_a_picture_is_asked_for(shape) -> None:
    starts = Starts(shape)
    assert len(starts) == 0
    with pytest.raises(UserError, match="give a picture with --image"):
        starts.at(0, 0)


def test_a_given_picture_is_cropped_and_has_no_place(shape) -> None:
    start = given_picture(encoded(30, 20), shape, "room.png")
    assert start.view.shape == (8, 8, 3)
    assert (start.view == 90).all()
    assert start.place is None


def test_pictures_that_cannot_be_used(shape) -> None:
    with pytest.raises(UserError, match=r"broken\.png cannot be decoded"):
        given_picture(b"no picture", shape, "broken.png")
    with pytest.raises(UserError, match="cannot be decoded"):
        given_picture(encoded(30, 20)[:45], shape, "half.png")
    with pytest.raises(UserError, match="9000 x 9000 pixels"):
        given_picture(encoded(9000, 9000), shape, "huge.png")
