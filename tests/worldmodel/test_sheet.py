import numpy as np
import pytest

from chiasm.worldmodel.sheet import BLOCKED, UNKNOWN, VIEW_PIXELS, Strip, animation, contact_sheet


def plain(*colour: int) -> np.ndarray:
    return np.full((VIEW_PIXELS, VIEW_PIXELS, 3), colour, np.uint8)


START, RED, GREEN, BLUE = plain(9, 9, 9), plain(200, 0, 0), plain(0, 200, 0), plain(0, 0, 200)


@pytest.fixture
def strips() -> list[Strip]:
    return [
        Strip("one", [START, RED, GREEN], ["start", "first", "second"], [START, BLUE, BLUE]),
        Strip("two", [START, GREEN], ["start", "a caption that is too long to stand in two lines"]),
    ]


def count(picture, view: np.ndarray) -> float:
    """How many views of this colour a picture holds."""
    return float((np.array(picture) == view[0, 0]).all(2).sum()) / VIEW_PIXELS**2


def test_a_sheet_shows_every_view_once_and_the_start_in_every_row(strips):
    sheet = contact_sheet(strips)
    assert [count(sheet, view) for view in (RED, GREEN, BLUE)] == [1, 2, 2]
    assert count(sheet, START) == 3
    columns = (np.array(sheet) == BLUE[0, 0]).all(2).any(0).nonzero()[0]
    assert columns.min() > (np.array(sheet) == START[0, 0]).all(2).any(0).nonzero()[0].max()


def test_an_animation_has_a_picture_for_each_step_and_shorter_strips_wait(strips):
    pictures = animation(strips)
    assert len({picture.size for picture in pictures}) == 1
    assert [[count(each, view) for view in (START, RED, GREEN, BLUE)] for each in pictures] == [
        [3, 0, 0, 0],
        [0, 1, 1, 1],
        [0, 0, 2, 1],
    ]


def test_what_is_not_known_is_left_grey():
    walk = Strip("", [START, RED], ["start", "W"], [START, None])
    sheet = np.array(contact_sheet([walk]))
    grey = (sheet == tuple(bytes.fromhex(UNKNOWN[1:]))).all(2)
    assert grey.sum() == VIEW_PIXELS**2
    below = (sheet == RED[0, 0]).all(2).any(1).nonzero()[0].max()
    assert grey.any(1).nonzero()[0].min() > below


def test_what_the_tokenizer_leaves_of_true_views_stands_above_them():
    walk = Strip("", [START, RED], ["start", "W"], [START, BLUE], decoded=[START, GREEN])
    for picture in (contact_sheet([walk]), animation([walk])[1]):
        tops = [
            (np.array(picture) == view[0, 0]).all(2).any(1).nonzero()[0].min()
            for view in (RED, GREEN, BLUE)
        ]
        assert tops == sorted(tops)
        assert [count(picture, view) for view in (RED, GREEN, BLUE)] == [1, 1, 1]


def test_a_true_view_behind_a_stopped_step_is_marked_and_no_other():
    walk = Strip(
        "", [START, RED, RED], ["start", "W", "W"], [START, BLUE, GREEN], [False, False, True]
    )
    sheet = contact_sheet([walk])
    assert [count(sheet, view) for view in (START, RED, BLUE)] == [2, 2, 1]
    assert 0.8 < count(sheet, GREEN) < 1
    mark = np.array([[tuple(bytes.fromhex(BLOCKED[1:]))]])
    marked = [count(picture, mark) > 0 for picture in (sheet, *animation([walk]))]
    assert marked == [True, False, False, True]
