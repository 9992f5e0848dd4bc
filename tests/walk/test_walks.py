"""Walks of several pages at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from chiasm.errors import UserError
from chiasm.walk.commands import read_command
from chiasm.walk.walks import MOST_WALKS, OutOfStep, UnknownWalk, Walks


@pytest.fixture
def ahead(walker):
    return read_command("W", walker.pretrained.actions)


def test_a_step_that_comes_twice_is_made_once(walker, starts, ahead) -> None:
    walk = Walks().begin(walker, starts[0])

    def step(_: int) -> bool:
        try:
            walk.step(walker, ahead, after=1, seed=0, guidance=1.0)
        except OutOfStep:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(step, range(4))) == 1
    assert len(walk.frames) == 2


def test_frames_are_taken_back_but_for_the_start(walker, starts, ahead) -> None:
    walk = Walks().begin(walker, starts[0])
    for after in (1, 2):
        walk.step(walker, ahead, after=after, seed=0, guidance=1.0)
    with pytest.raises(OutOfStep, match="has 3 frames and not 2"):
        walk.keep(1, after=2)
    with pytest.raises(UserError, match="the start stays"):
        walk.keep(0, after=3)
    walk.keep(2, after=3)
    assert len(walk.frames) == 2


def test_the_walk_that_was_not_used_for_longest_goes(walker, starts) -> None:
    walks = Walks()
    first, second = (walks.begin(walker, starts[0]).name for _ in range(2))
    for _ in range(MOST_WALKS - 2):
        walks.begin(walker, starts[0])
    assert walks[first].name == first  # used again: now the second is the oldest
    walks.begin(walker, starts[0])
    assert walks[first].name == first
    with pytest.raises(UnknownWalk, match="no longer kept"):
        walks[second]
