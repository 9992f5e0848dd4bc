from dataclasses import fields
from itertools import product
from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.batch.slots import RawLatents, Slots
from chiasm.batch.streams import StreamShape

T = 100


def slots_of(*items: tuple[int, int, tuple[int, ...], bool]) -> Slots:
    """Items, each its row, its start, its grid and whether it is a target."""
    rows, starts, grids, targets = zip(*items, strict=True)
    number = len(items)
    return Slots(
        row_N=torch.tensor(rows),
        start_N=torch.tensor(starts),
        grid_NA=torch.tensor(grids),
        target_N=torch.tensor(targets),
        dropped_N=torch.zeros(number, dtype=torch.bool),
        source_N=torch.arange(number),
        sequence_length=T,
        items=tuple(torch.full((3,), n) for n in range(number)),
    )


@st.composite
def some_slots(draw) -> Slots:
    """Items of any number of axes, of grids of their own."""
    axes = draw(st.integers(1, 4))
    grid = st.tuples(*[st.integers(1, 4)] * axes)
    items = draw(st.lists(st.tuples(grid, st.booleans()), min_size=1, max_size=5))
    placed, row, here = [], 0, 1
    for own, target in items:
        if here + prod(own) >= T:
            row, here = row + 1, 1
        if prod(own) < T - 1:
            placed.append((row, here, own, target))
            here += prod(own) + 2
    return slots_of(*placed or [(0, 1, (1,) * axes, True)])


@settings(max_examples=80, deadline=None)
@given(some_slots())
def test_latent_tokens_against_a_loop(slots):
    """Item after item, its last axis fastest, at consecutive positions of its row."""
    items, places, positions, targets = [], [], [], []
    for n, grid in enumerate(slots.grid_NA.tolist()):
        for number, place in enumerate(product(*map(range, grid))):
            if slots.target_N[n]:
                targets.append(len(items))
            items.append(n)
            places.append(list(place))
            positions.append(int(slots.row_N[n]) * T + int(slots.start_N[n]) + number)
    assert slots.tokens_N.tolist() == [prod(grid) for grid in slots.grid_NA.tolist()]
    assert slots.item_L.tolist() == items
    assert slots.place_LA.tolist() == places
    assert slots.position_L.tolist() == positions
    assert slots.target_G.tolist() == targets
    assert slots.position_G.tolist() == [positions[token] for token in targets]
    assert slots.num_targets == len(targets)


def test_no_items_are_slots_too():
    shape = StreamShape("clip", "vision", (2, 3, 4), channels=6)
    none = np.zeros(0, int)
    slots = Slots.of(shape, T, (), (), none, none, none.astype(bool))
    assert len(slots) == slots.num_targets == 0
    assert slots.place_LA.shape == (0, 3)
    for name in ("tokens_N", "item_L", "offset_L", "position_L", "target_G", "position_G"):
        assert getattr(slots, name).shape == (0,)
        assert getattr(slots, name).dtype == torch.int64


def test_what_is_known_of_each_is_kept():
    shape = StreamShape("series", "motion", (4,), channels=3)
    row_N, start_N, target_N = (
        np.array([0, 0, 2]),
        np.array([1, 9, 3]),
        np.array([True, False, True]),
    )
    contents = [torch.full((2, 2), n) for n in range(3)]
    grids = [(4,), (1,), (3,)]
    slots = Slots.of(shape, T, contents, grids, row_N, start_N, target_N)
    assert slots.grid_NA.tolist() == [[4], [1], [3]]
    assert slots.row_N.tolist() == [0, 0, 2]
    assert slots.start_N.tolist() == [1, 9, 3]
    assert slots.target_N.tolist() == [True, False, True]
    assert not slots.dropped_N.any()
    assert slots.source_N.tolist() == [0, 0, 0]
    assert all(a is b for a, b in zip(slots.items, contents, strict=True))
    assert slots.raw_LC is None
    told = Slots.of(shape, T, (), grids, row_N, start_N, target_N, ~target_N, np.array([1, 0, 1]))
    assert told.dropped_N.tolist() == [False, True, False]
    assert told.source_N.tolist() == [1, 0, 1]


def test_latents_that_were_read_lie_item_after_item():
    shape = StreamShape("series", "motion", (4,), channels=3)
    raw = [RawLatents(torch.randn(4, 3)) for _ in range(2)]
    one = np.array([1, 1])
    slots = Slots.of(shape, T, raw, [(4,)] * 2, one, np.array([1, 7]), one.astype(bool))
    assert slots.items == ()
    assert torch.equal(slots.raw_LC, torch.cat([each.raw_PC for each in raw]))


@pytest.mark.parametrize("raw", [None, torch.randn(10, 3)])
def test_moving_keeps_everything_and_takes_along_what_was_derived(raw):
    slots = slots_of((0, 1, (2, 3), True), (1, 4, (2, 2), False))
    if raw is not None:
        slots = Slots(
            **{f.name: getattr(slots, f.name) for f in fields(slots) if f.name != "items"}
            | {"raw_LC": raw}
        )
    moved = slots.to("cpu")
    for field in fields(slots):
        before, after = getattr(slots, field.name), getattr(moved, field.name)
        if isinstance(before, torch.Tensor):
            assert torch.equal(before, after), field.name
        elif field.name == "items":
            assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        else:
            assert before == after
    derived = ("tokens_N", "item_L", "position_L", "place_LA", "target_G", "position_G")
    assert {*derived, "num_targets"} <= vars(moved).keys(), "made on the host, before they move"
    for name in derived:
        assert torch.equal(getattr(moved, name), getattr(slots, name)), name
    assert moved.num_targets == 6
