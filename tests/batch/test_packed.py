from dataclasses import replace

import numpy as np
import pytest
import torch

from chiasm.batch.packed import NO_LABEL
from chiasm.batch.streams import PADDING, TEXT
from chiasm.data.packing import pack_documents
from chiasm.documents import Continuous, Document, Image, Text


def series(target):
    return Continuous([0.5, 0.25], target, "series")


@pytest.fixture
def batch(reader, tokenizer):
    image, context = (
        Image(np.full((8, 8, 3), 7, np.uint8), target=target) for target in (True, False)
    )
    documents = [
        Document((Text("the wall"), image)),
        Document((context, Text("a door"), image, series(False))),
        Document((Text("grass"), series(True))),
    ]
    return pack_documents(documents, tokenizer, reader, 40)


def test_counts(batch):
    text = batch.modality_BT == TEXT
    assert batch.num_filled == int(text.sum()) + 9 + 4
    assert {name: own.num_targets for name, own in batch.slots.items()} == {"image": 6, "series": 2}
    assert batch.num_text_targets == len(batch.text_position_R)
    assert batch.num_text_targets == int((batch.label_BT != NO_LABEL).sum())
    allowed = 0
    for b, q in (batch.modality_BT != PADDING).nonzero().tolist():
        allowed += int(batch.last_BT[b, q] - batch.first_BT[b, q]) + 1
    assert batch.num_pairs == allowed


def test_latent_tokens_lie_where_their_streams_own_tokens_are(batch, tokenizer):
    for name, modality in (("image", 2), ("series", 3)):
        slots, marks = batch.slots[name], tokenizer.marks[name]
        ids = batch.ids_BT.flatten()
        assert (ids[slots.position_L] == marks.fill).all()
        assert (batch.modality_BT.flatten()[slots.position_L] == modality).all()
        assert int((batch.modality_BT == modality).sum()) == len(slots.position_L)
        begin_N = slots.row_N * batch.num_positions + slots.start_N
        assert (ids[begin_N - 1] == marks.begin).all()
        assert (ids[begin_N + slots.tokens_N] == marks.end).all()
    assert batch.slots["image"].item_L.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert batch.slots["image"].place_LA.tolist() == [[0, 0], [0, 1], [0, 2]] * 3
    assert batch.slots["series"].place_LA.tolist() == [[0], [1]] * 2


def test_moving_keeps_everything(batch):
    moved = batch.to("cpu")
    for name, own in batch.slots.items():
        assert torch.equal(moved.slots[name].position_L, own.position_L)
    for name in ("ids_BT", "label_BT", "first_BT", "last_BT", "text_position_R", "number_B"):
        assert torch.equal(getattr(moved, name), getattr(batch, name)), name
    assert (moved.num_pairs, moved.num_filled) == (batch.num_pairs, batch.num_filled)
    assert moved.streams == batch.streams
    moved.validate()


def broken(batch, name, at, value):
    table = getattr(batch, name).clone()
    table[at] = value
    return replace(batch, **{name: table})


@pytest.mark.parametrize(
    ("name", "at", "value", "message"),
    [
        ("first_BT", (0, 0), 1, "begins after its query"),
        ("last_BT", (0, 3), 2, "ends before its query"),
        ("last_BT", (0, 3), 99, "leaves the row"),
        ("first_BT", (0, 14), 0, "into another document"),
        ("label_BT", (0, 4), 3, "holds no text predicts"),
        ("document_BT", (0, -1), 0, "padding and document numbers disagree"),
    ],
)
def test_validate_finds_what_is_broken(batch, name, at, value, message):
    batch.validate()
    with pytest.raises(ValueError, match=message):
        broken(batch, name, at, value).validate()


def with_slots(batch, **slots):
    return replace(batch, slots={**batch.slots, **slots})


@pytest.mark.parametrize("name", ["image", "series"])
def test_validate_finds_misplaced_items(batch, name):
    slots = batch.slots[name]
    moved = replace(slots, start_N=slots.start_N + 1)
    with pytest.raises(ValueError, match=f"an item of {name} lies outside"):
        with_slots(batch, **{name: moved}).validate()
    names = ("row_N", "start_N", "grid_NA", "target_N", "dropped_N", "source_N")
    fewer = replace(slots, **{n: getattr(slots, n)[1:] for n in names}, items=slots.items[1:])
    with pytest.raises(ValueError, match="slots and positions of latent tokens differ in number"):
        with_slots(batch, **{name: fewer}).validate()
    without = replace(slots, items=slots.items[1:])
    with pytest.raises(ValueError, match=f"slots of {name} and their contents differ"):
        with_slots(batch, **{name: without}).validate()


def test_latents_may_stand_for_the_items_where_there_are_as_many(batch):
    slots = batch.slots["series"]
    read = replace(slots, items=(), raw_LC=torch.zeros(len(slots.item_L), 3))
    with_slots(batch, series=read).validate()
    fewer = replace(read, raw_LC=read.raw_LC[1:])
    with pytest.raises(ValueError, match="slots of series and their contents differ"):
        with_slots(batch, series=fewer).validate()


def test_validate_finds_items_of_another_streams_modality(batch):
    either = {"image": batch.slots["series"], "series": batch.slots["image"]}
    with pytest.raises(ValueError, match="an item of image lies outside"):
        with_slots(batch, **either).validate()
    with pytest.raises(ValueError, match="streams and slots differ"):
        replace(batch, slots={"image": batch.slots["image"]}).validate()
