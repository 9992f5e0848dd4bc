"""The one rule of who sees whom, against rows that were written position by position."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from chiasm.batch.layout import lay_out
from chiasm.batch.slots import Slots
from chiasm.batch.streams import PADDING, TEXT


def laid_out(batch, held=0, **changes):
    own = {"filled": batch.modality_BT != PADDING, "position": batch.position_BT} | changes
    slots = own.get("slots", batch.slots)
    return lay_out(own["filled"].numpy(), own["position"].numpy(), slots, batch.streams, held)


@pytest.mark.parametrize("seed", range(8))
def test_packed_rows_of_three_modalities(naive, seed):
    batch = naive.random_batch(seed, num_rows=4, num_positions=80)
    layout = laid_out(batch)
    assert set(layout.modality_BT.flatten().tolist()) == {0, 1, 2, 3}
    for name, table in layout._asdict().items():
        assert table.dtype == np.int64
        assert torch.equal(torch.from_numpy(table), getattr(batch, name)), name


def test_streams_lay_each_its_own_items(naive):
    """Left out, an item is what its positions are else: text."""
    batch = naive.random_batch(3)
    alone = laid_out(batch, slots={"series": batch.slots["series"]})
    expected = torch.where(batch.modality_BT == 2, TEXT, batch.modality_BT)
    assert alone.modality_BT.tolist() == expected.tolist()
    either = laid_out(batch, slots=dict(reversed(batch.slots.items())))
    for one, other in zip(either, laid_out(batch), strict=True):
        assert (one == other).all()


def one_document(naive, dropped=False):
    items = [naive.Picture(2, 2, dropped=dropped), naive.Series(3, dropped=dropped)]
    return naive.pack([[[[9, 10], items[0], [11], items[1], [12, 13]]]], 24)


def part(slots: Slots, begin: int, end: int) -> Slots:
    """The items inside begin..end of one row."""
    inside_N = (slots.start_N >= begin) & (slots.start_N + slots.tokens_N <= end)
    names = ("row_N", "grid_NA", "target_N", "dropped_N", "source_N")
    own = {name: getattr(slots, name)[inside_N] for name in names}
    start_N = slots.start_N[inside_N] - begin
    return replace(slots, **own, start_N=start_N, sequence_length=end - begin, items=())


CUTS = [(3, 8, 14, 24), (3, 9, 15, 16, 17, 24)]


@pytest.mark.parametrize(
    ("ends", "dropped"),
    [*((ends, dropped) for ends in CUTS for dropped in (False, True)), ((4, 9, 11, 24), False)],
)
def test_pieces_behind_what_a_cache_holds_are_the_whole(naive, ends, dropped):
    """Cut anywhere but inside an item; one whose condition is dropped is read with its mark."""
    batch, begin = one_document(naive, dropped), 0
    whole = laid_out(batch)
    for end in ends:
        own = {name: part(slots, begin, end) for name, slots in batch.slots.items()}
        piece = laid_out(
            batch,
            held=begin,
            filled=(batch.modality_BT != PADDING)[:, begin:end],
            position=batch.position_BT[:, begin:end],
            slots=own,
        )
        for got, expected in zip(piece, whole, strict=True):
            assert (got == expected[:, begin:end]).all()
        begin = end


def test_rows_of_different_lengths_are_held_each_by_itself(naive):
    filled_BT, held_B = np.ones((2, 3), bool), np.array([7, 2])
    position_BT = np.arange(3) + held_B[:, None]
    shape = naive.streams["series"].on((2,))
    both = np.array([0, 1])
    slots = {"series": Slots.of(shape, 3, (), [shape.grid] * 2, both, both, both == 0)}
    layout = lay_out(filled_BT, position_BT, slots, naive.streams, held_B)
    assert layout.modality_BT.tolist() == [[3, 3, 1], [1, 3, 3]]
    assert layout.first_BT.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert layout.last_BT.tolist() == [[8, 8, 9], [2, 4, 4]]


def test_a_document_that_began_before_all_keys_is_seen_from_the_first_on(naive):
    """Without a cache, as the unconditional branch reads an item: at the positions that it has."""
    filled_BT, position_BT = np.ones((1, 3), bool), np.array([[40, 41, 42]])
    layout = lay_out(filled_BT, position_BT, {}, naive.streams)
    assert layout.first_BT.tolist() == [[0, 0, 0]]
    assert layout.last_BT.tolist() == [[0, 1, 2]]


def test_padding_sees_itself_alone(naive):
    filled_BT = np.array([[True, True, False, False]])
    layout = lay_out(filled_BT, np.array([[0, 1, 0, 0]]), {}, naive.streams)
    assert layout.modality_BT.tolist() == [[1, 1, 0, 0]]
    assert layout.first_BT.tolist() == [[0, 0, 2, 3]]
    assert layout.last_BT.tolist() == [[0, 1, 2, 3]]
