import math
from dataclasses import replace

import numpy as np
import pytest

from chiasm.poses import Pose
from chiasm.worlds.hearing import FAINT_METRES, NEAR_METRES, Hearing, hearing_of
from chiasm.worlds.maps import KIND_OF_NAME, UNITS_PER_METRE, Thing, generate_map
from chiasm.worlds.silence import SOUNDING_ROOM
from chiasm.worlds.sounds import VOICE_OF_THING
from chiasm.worlds.world import World

(BELL,) = SOUNDING_ROOM.things
X, Y = BELL.x / UNITS_PER_METRE, BELL.y / UNITS_PER_METRE


def heard(ahead: float, left: float, yaw_degrees: float) -> Hearing:
    """What is heard where the bell is so many metres ahead and to the left."""
    yaw = math.radians(yaw_degrees)
    east = ahead * math.cos(yaw) - left * math.sin(yaw)
    north = ahead * math.sin(yaw) + left * math.cos(yaw)
    return hearing_of(SOUNDING_ROOM, Pose(X - east, Y - north, yaw_degrees))


@pytest.mark.parametrize("yaw_degrees", [0.0, 77.0, 200.0, 340.0])
@pytest.mark.parametrize(
    ("ahead", "left", "side"),
    [
        *((2.0, 0.0, "middle"), (-2.0, 0.0, "middle"), (2.0, 0.4, "middle"), (-2.0, 0.4, "middle")),
        *((2.0, 0.6, "left"), (-2.0, 0.6, "left"), (0.0, 2.0, "left")),
        *((2.0, -0.6, "right"), (-2.0, -0.6, "right"), (0.0, -2.0, "right")),
    ],
)
def test_a_side_is_left_right_or_the_middle(
    yaw_degrees: float, ahead: float, left: float, side: str
):
    (sound,) = heard(ahead, left, yaw_degrees).sounds
    assert (sound.what, sound.thing, sound.side) == ("bell", "skull", side)
    assert sound.distance_metres == pytest.approx(math.hypot(ahead, left), abs=0.01)


def test_a_sound_is_near_then_far_then_faint_then_gone():
    near, far = heard(NEAR_METRES - 0.1, 0, 0), heard(NEAR_METRES + 0.1, 0, 0)
    assert near.sounds[0].near
    assert not far.sounds[0].near
    assert heard(FAINT_METRES + 0.1, 0, 0) == Hearing((), ("bell",))
    gone = heard(6.1, 0, 0)
    assert gone == Hearing((), ())
    assert gone.silent
    assert not any(each.silent for each in (near, far, heard(FAINT_METRES + 0.1, 0, 0)))


def test_sounds_come_from_near_to_far_and_other_things_are_mute():
    drip = Thing(KIND_OF_NAME["barrel"], 0, BELL.x - 60, BELL.y)
    tree = Thing(KIND_OF_NAME["tree"], 0, BELL.x, BELL.y + 60)
    full = replace(SOUNDING_ROOM, things=(BELL, tree, drip))
    told = hearing_of(full, Pose(X - 2.0, Y, 0.0))
    assert [sound.what for sound in told.sounds] == ["drip", "bell"]


def test_what_is_seen_on_a_side_is_heard_there(sounding: World):
    """Of things that sound; but for those that stand on the border of two thirds."""
    agree = seen = 0
    for view in sounding.views:
        for one in view.objects:
            sounds = [s for s in view.hearing.sounds if s.thing == one.name]
            if len(sounds) == 1 and sum(other.name == one.name for other in view.objects) == 1:
                near = abs(sounds[0].distance_metres - one.distance_metres) < 0.1
                seen += near
                agree += near and sounds[0].side == one.side
    assert seen > 30
    assert agree > 0.9 * seen


def test_every_view_of_a_world_with_sounds_says_what_is_heard(sounding: World, train: World):
    assert all(view.hearing is None for view in train.views)
    whats = {sound.what for view in sounding.views for sound in view.hearing.sounds}
    assert whats == {voice.what for voice in VOICE_OF_THING.values()}
    for view in sounding.views:
        again = hearing_of(generate_map(0, view.map_seed), view.pose)
        assert again == view.hearing


def test_a_generated_place_hears_its_things():
    """Against the distances of all things, by another way."""
    for seed in range(20):
        world_map = generate_map(0, seed)
        pose = Pose(3.0, 3.0, 30.0)
        told = hearing_of(world_map, pose)
        near = [
            np.hypot(thing.x / UNITS_PER_METRE - 3.0, thing.y / UNITS_PER_METRE - 3.0)
            for thing in world_map.things
            if thing.kind.name in VOICE_OF_THING
        ]
        assert len(told.sounds) == sum(distance < FAINT_METRES for distance in near)
