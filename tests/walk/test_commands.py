"""What is typed against what the model is to read."""

import pytest

from chiasm.actions import Action, ActionFormat
from chiasm.controls import ControlSettings
from chiasm.errors import UserError
from chiasm.walk.commands import read_command

POSES, KEYS = ActionFormat(stride_metres=0.5, turn_degrees=30), ActionFormat(style="keys")


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("W", "action: dx=+0.50 dy=+0.00 dyaw=+0"),
        ("wa", "action: dx=+0.50 dy=+0.00 dyaw=+30"),
        ("-", "action: dx=+0.00 dy=+0.00 dyaw=+0"),
        ("dx=1 dy=0 dyaw=20.4", "action: dx=+1.00 dy=+0.00 dyaw=+20"),
        (
            " action:  dx=+.5, dy=-1,  dyaw=-20 rel_t=4",
            "action: dx=+0.50 dy=-1.00 dyaw=-20 rel_t=+4",
        ),
        ("wa rel_t=8", "action: dx=+0.50 dy=+0.00 dyaw=+30 rel_t=+8"),
    ],
)
def test_steps_are_written_as_training_wrote_them(typed: str, text: str) -> None:
    command = read_command(typed, POSES, horizon_frames=(1, 8))
    assert command.text == text
    assert command.action is not None


def test_a_run_of_keys_reads_keys() -> None:
    assert read_command("d", KEYS).text == "action: D"
    command = read_command("dx=1.1 dy=0 dyaw=19", KEYS)
    assert command.text == "action: WA"
    # What is true afterwards is what the model was told, and not what was typed.
    assert command.action == Action(1.0, 0.0, 20.0)


def test_controls_are_written_as_training_wrote_them() -> None:
    car = ActionFormat(
        controls={"steering": ControlSettings(range=(-1, 1)), "base.dx": ControlSettings()}
    )
    command = read_command("base.dx=.5, steering=-0.333", car)
    assert command.text == "action: steering=-0.33 base.dx=+0.50"
    assert (command.action, command.is_spoken) == (None, False)
    assert command.goes_on_after(read_command("dx=1 dy=0 dyaw=0", car))
    assert not command.goes_on_after(read_command("go to the red torch", car))
    with pytest.raises(UserError, match="stering"):
        read_command("stering=0.5", car)
    assert read_command("stering=0.5", POSES).is_spoken, "a run without controls"
    for pose in ("W", "dx=1 dy=0 dyaw=0"):
        with pytest.raises(UserError, match=r"learned controls alone: steering \(-1 to 1\)"):
            read_command(pose, car, poses=False)


def test_other_words_are_an_instruction_with_its_mark() -> None:
    command = read_command("go to  the red torch", POSES, number=2, of=3)
    assert command.text == "action: go to the red torch [2/3]"
    assert command.action is None


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ("  ", "nothing was typed"),
        ("action:", "nothing was typed"),
        ("x" * 301, "301 characters"),
        ("dx=1 dyaw=20", r"cannot be read \(dy without a number\)"),
        ("dyaw=20", r"cannot be read \(dx and dy without a number\)"),
        ("WS", "W and S cancel each other"),
        ("wad rel_t=1", "A and D cancel each other"),
        ("dx=1 dy=0 dyaw=0 rel_t=2", "2 frames on, and training showed the next frame alone"),
        ("dx=nan dy=0 dyaw=0", "cannot be read"),
        (f"dx={'9' * 200} dy=0 dyaw=0", "too far"),
        ("dx=0 dy=-101 dyaw=0", "101 metres is too far"),
        ("dx=0 dy=0 dyaw=270", "turn by 180 degrees at most"),
    ],
)
def test_what_makes_no_sense_is_said(typed: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read_command(typed, POSES)


@pytest.mark.parametrize(("number", "of"), [(0, 3), (4, 3), (1, 41)])
def test_views_of_an_instruction_are_counted_from_one(number: int, of: int) -> None:
    with pytest.raises(UserError, match=f"view {number} of {of}"):
        read_command("turn around", POSES, number=number, of=of)


def test_what_a_document_of_training_holds_goes_on() -> None:
    ahead, left = read_command("W", POSES), read_command("A", POSES)
    first, second, third = (read_command("turn", POSES, number=n, of=3) for n in (1, 2, 3))
    other = read_command("wait", POSES, number=2, of=3)
    assert left.goes_on_after(ahead)
    assert second.goes_on_after(first)
    assert not third.goes_on_after(first)
    assert not other.goes_on_after(first)
    assert not first.goes_on_after(third)
    assert not first.goes_on_after(ahead)
    assert not ahead.goes_on_after(third)


@pytest.mark.parametrize("frames", [-9, 9])
def test_horizons_that_training_never_showed_are_said(frames: int) -> None:
    with pytest.raises(UserError, match="training showed frames -8 to 8 later"):
        read_command(f"W rel_t={frames}", POSES, horizon_frames=(-8, 8))
