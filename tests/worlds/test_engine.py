import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chiasm.worlds.engine import FOCAL, Engine
from chiasm.worlds.maps import generate_map
from chiasm.worlds.silence import SOUNDING_ROOM
from chiasm.worlds.sounds import PERIOD_SAMPLES, VOICES


@pytest.mark.slow
def test_an_engine_leaves_nothing_where_it_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Nor do two engines that start there at once meet: each has a folder of its own."""
    monkeypatch.chdir(tmp_path)
    with Engine([generate_map(0, 1)]) as first, Engine([generate_map(0, 1)]) as second:
        for engine in (first, second):
            engine.open_map(0)
        assert Path.cwd() == tmp_path
        np.testing.assert_array_equal(
            first.shoot(64, 64, 30).square, second.shoot(64, 64, 30).square
        )
    assert not list(tmp_path.iterdir())


BELL_X = BELL_Y = 256
"""Where the sounding room has its only thing."""


@pytest.fixture(scope="module")
def ears(openal: None) -> Iterator[Engine]:
    with Engine([SOUNDING_ROOM], sounds=True) as engine:
        engine.open_map(0)
        yield engine


def heard(engine: Engine, ahead: float, left: float, yaw_degrees: float = 0.0) -> np.ndarray:
    """One period where the bell is so many units ahead and to the left: int16 [2, N]."""
    yaw = math.radians(yaw_degrees)
    x = BELL_X - ahead * math.cos(yaw) + left * math.sin(yaw)
    y = BELL_Y - ahead * math.sin(yaw) - left * math.cos(yaw)
    engine.shoot(round(x), round(y), yaw_degrees)
    return engine.listen()


def loudness(sound: np.ndarray) -> np.ndarray:
    """Root mean square of left and right."""
    return np.sqrt(np.square(sound.astype(float)).mean(axis=1))


@pytest.mark.slow
def test_a_period_is_heard_on_two_sides(ears: Engine):
    sound = heard(ears, 80, 0)
    assert sound.shape == (2, PERIOD_SAMPLES)
    assert sound.dtype == np.int16


@pytest.mark.slow
@pytest.mark.parametrize("yaw_degrees", [0.0, 90.0, 180.0, 270.0])
def test_ears_tell_left_from_right_and_ahead_is_louder_than_behind(
    ears: Engine, yaw_degrees: float
):
    ahead, behind = (loudness(heard(ears, far, 0, yaw_degrees)) for far in (100, -100))
    assert ahead[0] == pytest.approx(ahead[1], rel=0.02)
    assert behind[0] == pytest.approx(behind[1], rel=0.02)
    assert ahead.mean() > 1.2 * behind.mean()
    left, right = (loudness(heard(ears, 0, far, yaw_degrees)) for far in (100, -100))
    assert left[0] > 20 * left[1]
    assert right[1] > 20 * right[0]
    assert left[0] == pytest.approx(right[1], rel=0.02)


@pytest.mark.slow
def test_sides_are_told_where_a_picture_has_its_thirds(ears: Engine):
    border = 150 / 6 / FOCAL
    inside, outside = (loudness(heard(ears, 150, left)) for left in (border - 8, border + 8))
    assert 1.0 < inside[0] / inside[1] < outside[0] / outside[1]


@pytest.mark.slow
def test_sounds_fade_with_the_distance_to_nothing(ears: Engine):
    levels = [loudness(heard(ears, ahead, 0)).mean() for ahead in (40, 100, 160, 230)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 5 * levels[-1] > 0
    ears.shoot(10, 10, 0.0)  # 348 units away
    assert not ears.listen().any()


@pytest.mark.slow
def test_what_is_heard_at_a_pose_does_not_depend_on_what_was_heard_before(ears: Engine):
    alone = heard(ears, 100, 50, 30.0)
    for other in ((-20, 40, 0.0), (150, 0, 10.0), (200, 200, 45.0), (0, 60, 300.0)):
        heard(ears, *other)
        np.testing.assert_array_equal(heard(ears, 100, 50, 30.0), alone)
    ears.shoot(40, 40, 0.0)  # its rhythm is another one without listening
    np.testing.assert_array_equal(heard(ears, 100, 50, 30.0), alone)
    ears.open_map(0)
    np.testing.assert_array_equal(heard(ears, 100, 50, 30.0), alone)


@pytest.mark.slow
def test_two_processes_hear_the_same(ears: Engine):
    with Engine([SOUNDING_ROOM], sounds=True) as other:
        other.open_map(0)
        for pose in ((100, 0, 0.0), (0, 80, 20.0), (-60, 30, 200.0)):
            np.testing.assert_array_equal(heard(other, *pose), heard(ears, *pose))


@pytest.mark.slow
def test_a_sound_begins_with_the_period(ears: Engine):
    """It is the lump, as loud as the ear hears it."""
    (bell,) = (voice.samples() for voice in VOICES if voice.what == "bell")
    sound = heard(ears, 100, 0).mean(axis=0)
    likeness = np.corrcoef(sound, bell)[0, 1]
    assert likeness > 0.99


@pytest.mark.slow
def test_ears_leave_the_picture_as_it_is(ears: Engine):
    with Engine([SOUNDING_ROOM]) as deaf:
        deaf.open_map(0)
        ears.open_map(0)
        for pose in ((140, 256, 0.0), (300, 160, 100.0)):
            np.testing.assert_array_equal(ears.shoot(*pose).square, deaf.shoot(*pose).square)
            ears.listen()


@pytest.mark.slow
def test_sounds_add_up(ears: Engine):
    """Two of one kind as well."""
    (bell,) = SOUNDING_ROOM.things
    other = replace(bell, x=100, y=400)
    told = []
    for things in ((bell,), (other,), (bell, other)):
        with Engine([replace(SOUNDING_ROOM, things=things)], sounds=True) as engine:
            engine.open_map(0)
            engine.shoot(150, 280, 40.0)
            told.append(engine.listen().astype(int))
    first, second, both = told
    assert min(np.abs(each).max() for each in (first, second)) > 1000
    assert np.abs(first + second - both).max() <= 2


@pytest.mark.slow
def test_a_users_settings_of_the_library_change_nothing(
    ears: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    own = tmp_path / "alsoft.conf"
    own.write_text("[general]\nvolume-adjust = -20\nhrtf = true\ndither = true\ncf_level = 6\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("ALSOFT_CONF", str(own))
    with Engine([SOUNDING_ROOM], sounds=True) as engine:
        engine.open_map(0)
        np.testing.assert_array_equal(heard(engine, 60, 80), heard(ears, 60, 80))
    assert os.environ["ALSOFT_CONF"] == str(own)
