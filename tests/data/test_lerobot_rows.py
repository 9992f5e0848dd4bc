"""The rows of LeRobot sets: numbers, times and padding, and what they contradict."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lerobot_sets import Made, expected, make, opened, sides, walked

from chiasm.errors import UserError


def test_times_are_nominal_however_they_are_rounded(tmp_path: Path) -> None:
    """Float32 times of an episode, late in a file: off by more than the file's ticks."""

    def late(number: int, columns: dict[str, Any]) -> None:
        columns["timestamp"] = columns["timestamp"] + np.float32(0.004)

    made = Made(change=late)
    assert walked(opened(make(tmp_path / "set", made))) == expected(made.lengths)


@pytest.mark.filterwarnings("error")
def test_a_number_of_no_task_is_a_walk_without_words(tmp_path: Path) -> None:
    """As of a damaged cell, beyond what integers hold."""

    def damaged(number: int, columns: dict[str, Any]) -> None:
        columns["task_index"] = np.full(len(columns["task_index"]), 1e300)

    first = sides(opened(make(tmp_path / "set", Made(change=damaged)), task="video"))
    assert {own[0].text for own in first if len(own)} == {"video:"}


def test_padding_is_not_trained_on(tmp_path: Path) -> None:
    """The last three rows of every episode repeat its last action, and say so."""

    def pad(number: int, columns: dict[str, Any]) -> None:
        length = len(columns["frame_index"])
        columns["action_is_pad"] = (np.arange(length) >= length - 3).tolist()

    made = Made(change=pad)
    found = opened(make(tmp_path / "set", made))
    assert found.facts.skipped == {"padding": 3 * len(made.lengths)}
    shorter = expected([length - 3 for length in made.lengths])
    assert walked(found) == shorter


def test_rows_without_a_finite_action_lead_nowhere(tmp_path: Path) -> None:
    def spoil(number: int, columns: dict[str, Any]) -> None:
        if number == 1:
            columns["action"][3][0] = float("nan")
            columns["action"][6][2] = 1.5
        if number == 2:
            columns["action"][2] = None

    found = opened(make(tmp_path / "set", Made(change=spoil)))
    assert found.facts.skipped == {
        "pan is missing or not finite": 2,
        "grip outside actions.controls.grip.range": 1,
    }
    walks = walked(found)
    assert [number for number, action in walks[1] if not action] == [3, 6, 8]
    assert [number for number, _ in walks[1]] == list(range(9)), "they are shown"
    assert [number for number, action in walks[2] if not action] == [2, 5]
    assert "nan" not in "".join(action for own in walks.values() for _, action in own)


@pytest.mark.parametrize("lost", ["row", "number"])
def test_rows_that_are_not_as_the_metadata_says_are_left_out(lost: str, tmp_path: Path) -> None:
    def break_it(number: int, columns: dict[str, Any]) -> None:
        if number == 2 and lost == "row":
            for name in columns:
                columns[name] = columns[name][:-1]
        if number == 2 and lost == "number":
            columns["frame_index"] = columns["frame_index"] * 2

    found = opened(make(tmp_path / "set", Made(change=break_it)))
    assert set(walked(found)) == {0, 1, 3, 4, 5}
    why = "not as many rows as meta/episodes says" if lost == "row" else "frame_index has gaps"
    assert found.facts.skipped == {why: 6}


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    first = opened(make(tmp_path / "one", Made())).facts.fingerprint
    assert opened(make(tmp_path / "two", Made())).facts.fingerprint == first

    def other(number: int, columns: dict[str, Any]) -> None:
        columns["action"][0][0] = 0.5

    assert opened(make(tmp_path / "three", Made(change=other))).facts.fingerprint != first


def test_a_time_that_is_no_number_shows_no_frame(tmp_path: Path) -> None:
    def spoil(number: int, columns: dict[str, Any]) -> None:
        if number == 1:
            columns["timestamp"][[2, 8]] = np.nan

    found = opened(make(tmp_path / "set", Made(change=spoil)))
    assert set(walked(found)) == {0, 2, 3, 4, 5}
    assert found.facts.skipped == {"no frame of the video at a row's time": 9}


@pytest.mark.parametrize("kind", ["numbers", "lists", "truth values"])
def test_a_row_without_its_number_takes_its_episode(kind: str, tmp_path: Path) -> None:
    def spoil(number: int, columns: dict[str, Any]) -> None:
        own = columns["frame_index"].tolist()
        own = [[each] for each in own] if kind == "lists" else own
        if number == 1:
            own = [True] * len(own) if kind == "truth values" else own
            own[2] = None
        columns["frame_index"] = own

    made = Made(version="v2.1", change=spoil)
    found = opened(make(tmp_path / "set", made))
    assert walked(found) == {n: own for n, own in expected(made.lengths).items() if n != 1}
    assert found.facts.skipped == {"frame_index has gaps": 9}


@pytest.mark.parametrize("name", ["action", "episode_index", "timestamp", "task_index"])
def test_words_in_place_of_numbers_are_told(name: str, tmp_path: Path) -> None:
    def spoil(number: int, columns: dict[str, Any]) -> None:
        columns[name] = ["three"] * len(columns["frame_index"])

    with pytest.raises(UserError, match=rf"file-000\.parquet: {name} holds no numbers \(string"):
        opened(make(tmp_path / "set", Made(change=spoil)))
