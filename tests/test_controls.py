import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.actions import ActionFormat
from chiasm.controls import ControlSettings
from chiasm.errors import UserError

CAR = ActionFormat(
    controls={
        "steering": ControlSettings(range=(-1, 1)),
        "throttle": ControlSettings(range=(0, 1)),
    }
)
numbers = st.floats(-1e6, 1e6) | st.sampled_from([-0.0, 0.005, -0.004, 1e-9, 0.125])


def test_the_rule_is_one_line_of_names_and_numbers() -> None:
    text = "action: steering=+0.47 throttle=0.50"
    assert CAR.write_controls({"throttle": 0.5, "steering": 0.4711}) == text
    assert CAR.write_controls({"steering": -0.001}) == "action: steering=+0.00"
    assert CAR.read_controls(text) == {"steering": 0.47, "throttle": 0.5}


@given(
    values=st.lists(numbers, min_size=1, max_size=4),
    decimals=st.integers(0, 6),
    signed=st.booleans(),
)
def test_what_is_written_reads_back_exactly(
    values: list[float], decimals: int, signed: bool
) -> None:
    values = values if signed else [abs(value) for value in values]
    own = ControlSettings(decimals=decimals, range=None if signed else (0, 1e6))
    form = ActionFormat(controls={f"joint_{n}.pos": own for n in range(4)})
    given_ = {f"joint_{n}.pos": value for n, value in enumerate(values)}
    text = form.write_controls(given_)
    back = form.read_controls(text)
    assert back == {name: round(value, decimals) for name, value in given_.items()}
    assert form.write_controls(back) == text
    assert not re.search(r"=-0(\.0*)?( |$)", text), "there is one zero"
    assert all(("+" in part or "-" in part) == signed for part in text.split()[1:])


@pytest.mark.parametrize(
    "typed",
    [
        "throttle=.5 steering=+0.47",
        "action:steering=0.471, throttle=0.5",
        "steering = 0.47; throttle = 5e-1".replace(";", ","),
    ],
)
def test_order_and_spelling_do_not_matter(typed: str) -> None:
    assert CAR.write_controls(CAR.read_controls(typed)) == "action: steering=+0.47 throttle=0.50"


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ("steering=1.01", r"steering=1.01 is outside -1 to 1"),
        ("throttle=-0.1", r"throttle=-0.1 is outside 0 to 1"),
        ("steering=nan", "is not finite"),
        ("steering=left", "'left' is no number"),
        ("stering=0.5", "control 'stering' is unknown; the controls are steering"),
        ("steering=0 steering=1", "steering comes twice"),
        ("steering=0 and on", "'and on' is no control"),
        ("", "without controls"),
    ],
)
def test_what_training_could_not_show_is_refused(typed: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        CAR.read_controls(typed)


def test_a_bound_that_was_rounded_is_inside() -> None:
    assert CAR.write_controls({"steering": 1.0000001}) == "action: steering=+1.00"
    with pytest.raises(UserError, match=r"outside"):
        CAR.write_controls({"steering": 1.006})


def test_names_that_could_not_be_read_back_are_refused() -> None:
    for name in ("dx", "rel_t", "left arm", "a=b", "1st", ""):
        with pytest.raises(ValueError, match="control"):
            ActionFormat(controls={name: ControlSettings()})
    for wrong in ((1.0, 1.0), (1.0, -1.0), (0.0, math.inf)):
        with pytest.raises(ValueError, match=r"rang|finite"):
            ControlSettings(range=wrong)


def test_poses_and_sentences_are_no_controls() -> None:
    assert CAR.names_controls("action: steering=+0.47")
    assert CAR.names_controls("stering=1"), "a wrong name is told, and is no instruction"
    for text in ("dx=+1.00 dy=+0.00 dyaw=+0 rel_t=+4", "go to the red torch", "WA"):
        assert not CAR.names_controls(text)
    assert not ActionFormat().names_controls("steering=1"), "a run without controls"


def test_units_are_told_with_ranges() -> None:
    assert ControlSettings(range=(-90, 90), unit="deg/s").told == "-90 to 90 deg/s"
    assert ControlSettings(unit="m/s").told == "any number m/s"
