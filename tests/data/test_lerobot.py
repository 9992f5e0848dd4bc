"""Episodes of LeRobot sets are read frame by frame, each with its own picture and action."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lerobot_sets import BOTH, FRONT, Made, expected, make, opened, seen, sides, walked

from chiasm.errors import UserError


@pytest.mark.parametrize(
    "made",
    [
        Made(),
        Made(new_video=BOTH, new_data=(1, 5)),
        Made(version="v2.1"),
        Made(version="v2.0", names=["pan", "lift", "grip"]),
        Made(as_pictures=True),
        Made(names={"pan": 0, "grip": 2, "lift": 1}),
    ],
    ids=["shared", "two cameras", "v2.1", "v2.0", "pictures in rows", "numbered names"],
)
def test_every_frame_has_its_own_picture_and_action(made: Made, tmp_path: Path) -> None:
    """Files of rows and of each camera roll over at different episodes."""
    found = opened(make(tmp_path / "set", made), camera="front")
    assert walked(found) == expected(made.lengths)
    assert found.facts.skipped == {}
    assert found.facts.rows == sum(made.lengths)


def test_lossy_av1_as_lerobot_writes_it_is_read_at_the_right_times(tmp_path: Path) -> None:
    made = Made(codec="libsvtav1", pixels="yuv420p")
    assert walked(opened(make(tmp_path / "set", made))) == expected(made.lengths)


def test_a_document_stays_in_its_episode(tmp_path: Path) -> None:
    train, _ = sides(opened(make(tmp_path / "set", Made()), frames=(2, 4), frame_spacing=2))
    for index in range(len(train)):
        document = train[index]
        shown = [seen(image) for image in document.images]
        assert len({episode for episode, _ in shown}) == 1
        assert np.diff([number for _, number in shown]).tolist() == [2] * (len(shown) - 1)
        assert [image.target for image in document.images] == [False] + [True] * (len(shown) - 1)


def test_several_rows_between_frames_say_their_mean_or_the_last(tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made())
    for between, pan in (("mean", 0.01), ("last", 0.02)):
        source = sides(opened(root, frame_spacing=3, between=between))[0]
        assert source.controls(0, 3)["pan"] == pytest.approx(pan)


def test_an_episode_whose_video_is_missing_is_left_out_and_told(tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made())
    (root / f"videos/{FRONT}/chunk-000/file-001.mp4").unlink()
    found = opened(root)
    assert walked(found) == expected((7, 9, 6))
    assert found.facts.skipped == {"video file missing": 8 + 5 + 10}
    assert "video file missing: episodes 3, 4, 5" in found.facts.line("arm")


def test_a_video_that_is_cut_off_is_left_out(tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made(version="v2.1"))
    video = root / f"videos/chunk-000/{FRONT}/episode_000002.mp4"
    video.write_bytes(video.read_bytes()[:-40])
    found = opened(root)
    assert set(walked(found)) == {0, 1, 3, 4, 5}
    assert found.facts.skipped == {"video: cut off": 6}


def test_a_video_shorter_than_its_rows_shows_no_other_episode(tmp_path: Path) -> None:
    """The first of two in one file, whose missing frames would be the second's, and the last."""
    made = Made(shorter={1: 1, 5: 1})
    found = opened(make(tmp_path / "set", made))
    whole = expected(made.lengths)
    assert walked(found) == {n: own for n, own in whole.items() if n not in (1, 5)}
    assert found.facts.skipped == {"video shorter than its rows": 9 + 10}


@pytest.mark.parametrize(
    ("own", "complaint"),
    [
        ({"controls": {"pan": {"column": "elbow"}}}, "choose one of: pan, lift, grip"),
        ({"controls": {"elbow": {}}}, "is no control of this recipe, which has pan, grip"),
        ({"action_feature": "actions"}, "choose one of: action"),
        ({"task": "walk"}, "is no task of kind 'lerobot'"),
        ({"frames": (12, 12)}, "frames, and a document needs 12; lower frames"),
    ],
)
def test_a_wrong_setting_is_told_with_the_right_ones(
    own: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    root = make(tmp_path / "set", Made())
    with pytest.raises(UserError, match=complaint):
        opened(root, **own)


def test_a_control_may_be_a_number_of_its_feature_in_another_unit(tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made(names=None))
    own = {"pan": {"column": "1", "factor": -0.5}, "grip": {"column": "2"}}
    source = sides(opened(root, controls=own))[0]
    episode, _ = seen(source.picture(0))
    assert source.controls(0, 1) == {"pan": -0.5 * episode, "grip": 0.0}
