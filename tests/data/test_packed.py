from dataclasses import replace

import pytest
import torch

from chiasm.batch.streams import PADDING, TEXT
from chiasm.data.packing import pack_documents
from chiasm.documents import Document, Image, Text


@pytest.fixture
def batch(made):
    image = Image(made.picture(0), target=True)
    context = Image(made.picture(1), target=False)
    documents = [
        Document((Text("the wall"), image)),
        Document((context, Text("a door"), image)),
        Document((Text("grass"),)),
    ]
    return pack_documents(documents, made.tokenizer, made.reader, 30)


def test_counts(batch):
    text = batch.modality_BT == TEXT
    assert batch.num_filled == int(text.sum()) + 9
    assert batch.slots["image"].num_targets == 6
    assert batch.num_text_targets == len(batch.text_position_R)
    allowed = 0
    for b, q in (batch.modality_BT != PADDING).nonzero().tolist():
        allowed += int(batch.last_BT[b, q] - batch.first_BT[b, q]) + 1
    assert batch.num_pairs == allowed


def test_latent_tokens_lie_row_major_in_their_image(batch):
    slots = batch.slots["image"]
    assert slots.item_L.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert slots.place_LA.tolist() == [[0, 0], [0, 1], [0, 2]] * 3
    at = batch.ids_BT.flatten()[slots.position_L]
    assert len(set(at.tolist())) == 1
    vision = batch.streams.modality_of("image")
    assert (batch.modality_BT.flatten()[slots.position_L] == vision).all()


def test_moving_keeps_everything(batch):
    moved = batch.to("cpu")
    assert torch.equal(moved.slots["image"].position_L, batch.slots["image"].position_L)
    assert moved.num_pairs == batch.num_pairs
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


def test_validate_finds_misplaced_images(batch):
    slots = batch.slots["image"]

    def having(changed):
        return replace(batch, slots={"image": changed})

    with pytest.raises(ValueError, match="an item of image lies outside the positions of its mod"):
        having(replace(slots, start_N=slots.start_N + 1)).validate()
    fewer = replace(
        slots,
        **{n: getattr(slots, n)[1:] for n in ("row_N", "start_N", "grid_NA", "target_N")},
        items=slots.items[1:],
    )
    with pytest.raises(ValueError, match="differ in number"):
        having(fewer).validate()
    with pytest.raises(ValueError, match="slots of image and their contents differ"):
        having(replace(slots, items=slots.items[1:])).validate()
    with pytest.raises(ValueError, match="streams and slots differ"):
        replace(batch, slots={}).validate()
