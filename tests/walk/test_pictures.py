"""Contact sheets, pixel by pixel."""

import numpy as np

from chiasm.walk.pictures import CELL_PIXELS, COLUMNS, GAP_PIXELS, MISSING, contact_sheet

MIDDLE = GAP_PIXELS + CELL_PIXELS // 2


def flat(value: int) -> np.ndarray:
    return np.full((4, 4, 3), value, np.uint8)


def test_frames_stand_in_lines_with_what_was_read_below() -> None:
    count = COLUMNS + 1
    sheet = contact_sheet([[flat(10 * n) for n in range(count)]], ["W"] * count)
    cell = CELL_PIXELS + GAP_PIXELS
    assert (sheet[MIDDLE, MIDDLE + cell] == 10).all()
    second_line = sheet.shape[0] // 2 + MIDDLE
    assert (sheet[second_line, MIDDLE] == 10 * COLUMNS).all()
    assert (sheet[second_line, MIDDLE + cell] == 255).all()  # nothing more
    words = sheet[MIDDLE + cell - CELL_PIXELS // 2 - GAP_PIXELS : sheet.shape[0] // 2, :cell]
    assert (words < 100).any()


def test_true_views_stand_below_and_unknown_ones_are_grey() -> None:
    rows = [[flat(0), flat(20)], [flat(40), None]]
    sheet = contact_sheet(rows, ["start", "W"])
    cell = CELL_PIXELS + GAP_PIXELS
    assert (sheet[MIDDLE + cell, MIDDLE] == 40).all()
    assert (sheet[MIDDLE + cell, MIDDLE + cell] == MISSING).all()
