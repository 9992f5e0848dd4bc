import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.actions import Action, ActionFormat
from chiasm.errors import UserError
from chiasm.poses import Pose, relative_pose, wrap_degrees

KEYS = ActionFormat(style="keys")


def test_what_is_written_reads_back_within_its_precision():
    rng = np.random.default_rng(1)
    for _ in range(200):
        first, second = (Pose(*rng.uniform([-50, -50, 0], [50, 50, 360])) for _ in range(2))
        told = Action.between(first, second, int(rng.choice([-40, -1, 1, 2, 64])))
        for coarse, fine in ((2, 0), (0, 2), (4, 3)):
            form = ActionFormat(distance_decimals=coarse, angle_decimals=fine)
            back = form.read(form.write(told))
            assert back.step[:2] == pytest.approx(told.step[:2], abs=0.51 * 10**-coarse)
            error = wrap_degrees(back.dyaw_degrees - told.dyaw_degrees)
            assert error == pytest.approx(0, abs=0.51 * 10**-fine)
            assert back.horizon_frames == told.horizon_frames
            assert form.write(back) == form.write(told)
        assert told.step == relative_pose(first, second)


def test_the_words_that_models_learned_so_far_are_the_default():
    form = ActionFormat()
    assert form.write(Action(0.34, -0.02, 12)) == "action: dx=+0.34 dy=-0.02 dyaw=+12"
    assert form.write(Action(0.34, -0.02, 12, 4)) == "action: dx=+0.34 dy=-0.02 dyaw=+12 rel_t=+4"
    zero = "action: dx=+0.00 dy=+0.00 dyaw=+0"
    assert form.write(Action(0, 0, 0)) == form.write(Action(-1e-9, 1e-9, -1e-4)) == zero


@given(
    form=st.builds(
        ActionFormat, distance_decimals=st.integers(0, 6), angle_decimals=st.integers(0, 6)
    ),
    dx=st.integers(-(10**7), 10**7),
    dy=st.integers(-(10**7), 10**7),
    dyaw=st.floats(-1080, 1080) | st.sampled_from([-180.0, 180.0, -179.96, -179.6, -540.0, -0.0]),
    turns=st.integers(-2, 2),
)
def test_equal_motions_have_one_text(form: ActionFormat, dx: int, dy: int, dyaw: float, turns: int):
    """What is written reads back as what is written again; whole turns and signs of zero do not
    show, and half a turn has one spelling."""
    unit = 10.0**-form.distance_decimals
    angle = round(dyaw, form.angle_decimals)
    for style in ("pose", "keys"):
        own = form.model_copy(update={"style": style})
        text = own.write(Action(dx * unit, dy * unit, angle))
        assert own.write(own.read(text)) == text
        assert own.write(Action(dx * unit, dy * unit, angle + 360.0 * turns)) == text
        assert not re.search(r"=-0(\.0*)?( |$)|dyaw=-180(\.0*)?$", text)
    step = form.read(form.write(Action(dx * unit, dy * unit, dyaw))).step
    assert -180 < step[2] <= 180
    error = math.remainder(step[2] - dyaw, 360)
    assert error == pytest.approx(0, abs=0.51 * 10**-form.angle_decimals)
    written = Action(*step)
    assert form.read(form.write(written)) == written


@pytest.mark.parametrize("decimals", range(7))
def test_half_a_turn_has_one_spelling(decimals: int):
    form = ActionFormat(angle_decimals=decimals)
    end = form.write(Action(0, 0, 180)).split()[-1]
    assert end == f"dyaw=+180{'.' * (decimals > 0)}{'0' * decimals}"
    just_above = -180 + 0.4 * 10**-decimals
    for angle in (-180, 540, -540, just_above):
        assert form.write(Action(0, 0, angle)).split()[-1] == end


def test_many_steps_are_written_as_one_is():
    rng = np.random.default_rng(0)
    near = rng.normal(size=(200, 3)) * [0.02, 0.02, 2]
    steps_N3 = np.concatenate([near, rng.normal(size=(200, 3)) * [2, 2, 40], np.zeros((1, 3))])
    for form in (ActionFormat(), ActionFormat(distance_decimals=3, angle_decimals=1), KEYS):
        read = [form.read(form.write(Action(*step))).step for step in steps_N3.tolist()]
        assert form.written(steps_N3) == pytest.approx(np.array(read))


def test_horizons_in_units_of_navigation_world_models():
    form = ActionFormat(time_unit_frames=128)
    assert form.write(Action(1, 0, 0, -16)).endswith("rel_t=-0.1250")
    for frames in range(-64, 65):
        if frames:
            assert form.read(form.write(Action(0, 0, 0, frames))).horizon_frames == frames


def test_numbers_are_read_as_people_write_them():
    text = "action: dx=+1.338, dy=-.659, dyaw=30, rel_t=+2"
    assert ActionFormat().read(text) == Action(1.338, -0.659, 30.0, 2)
    assert ActionFormat().read("dx=1 dy=2 dyaw=-3") == Action(1, 2, -3)


def test_keys_stand_for_strides_and_turns():
    form = ActionFormat(stride_metres=0.5, turn_degrees=15)
    read = {keys: form.read(f"action: {keys}").step for keys in ("W", "S", "A", "D", "WA", "-")}
    assert read == {
        "W": (0.5, 0, 0),
        "S": (-0.5, 0, 0),
        "A": (0, 0, 15),
        "D": (0, 0, -15),
        "WA": (0.5, 0, 15),
        "-": (0, 0, 0),
    }
    assert form.read("WD rel_t=+3") == Action(0.5, 0, -15, 3)


def test_steps_become_the_nearest_keys():
    told = [Action(1, 0, 40), Action(-1, 0, 0), Action(0.4, 0, -9), Action(1.2, 0.3, -20, 2)]
    words = ["action: WA", "action: S", "action: -", "action: WD rel_t=+2"]
    assert [KEYS.write(action) for action in told] == words
    assert [KEYS.write(KEYS.read(text)) for text in words] == words


@pytest.mark.parametrize(
    "text",
    [
        *("", "action:", "action: dx=1 dy=2", "walk ahead", "action: WAX", "action: dx=nan dy=0"),
        *("dx=inf dy=0 dyaw=0", "dx=1 dy=2 dyaw=3.4.5", "dx=one dy=2 dyaw=3"),
    ],
)
def test_an_unreadable_action_is_a_users_mistake(text: str):
    with pytest.raises(UserError, match=r"cannot be read.*: write it as 'action: dx=\+0\.34 .*WA"):
        ActionFormat().read(text)


def test_numbers_that_mean_nothing_are_refused():
    with pytest.raises(UserError, match="not finite"):
        ActionFormat().read(f"dx={'9' * 400} dy=0 dyaw=0")
    with pytest.raises(UserError, match="rel_t=0 is no frame"):
        ActionFormat().read("dx=1 dy=0 dyaw=0 rel_t=0")
