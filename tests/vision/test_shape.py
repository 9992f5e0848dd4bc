import math

from hypothesis import given
from hypothesis import strategies as st

from chiasm.vision.shape import native_grid

SIDES = st.integers(1, 3000)


def kept(height: int, width: int, rows: int, columns: int) -> float:
    """The share of a picture that the largest crop of the grid's aspect ratio holds."""
    scale = min(height / rows, width / columns)
    return scale * rows * scale * columns / (height * width)


@given(height=SIDES, width=SIDES, most=st.integers(1, 40))
def test_no_grid_within_the_budget_is_worth_more(height: int, width: int, most: int) -> None:
    rows, columns = native_grid(height, width, most)
    assert 1 <= rows * columns <= most
    best = max(
        kept(height, width, r, c) ** 4 * r * c
        for r in range(1, most + 1)
        for c in range(1, most // r + 1)
    )
    assert math.isclose(kept(height, width, rows, columns) ** 4 * rows * columns, best)


@given(side=SIDES, squared=st.integers(1, 20))
def test_a_square_picture_has_the_grid_of_the_square(side: int, squared: int) -> None:
    assert native_grid(side, side, squared**2) == (squared, squared)


@given(height=SIDES, width=SIDES, factor=st.sampled_from([0.25, 3, 16]))
def test_the_size_alone_changes_nothing(height: int, width: int, factor: float) -> None:
    own = native_grid(height, width, 64)
    assert native_grid(height * factor, width * factor, 64) == own


def test_grids_follow_the_picture() -> None:
    assert native_grid(480, 640, 64) == (7, 9)
    assert native_grid(640, 480, 64) == (9, 7)
    assert native_grid(1080, 1920, 64) == (6, 10)
    assert native_grid(1, 16, 64) == (2, 32)
    assert native_grid(1, 1000, 64) == (1, 64)  # as long as there are tokens
