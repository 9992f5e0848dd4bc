"""Every table of a batch against a reference that walks one position at a time."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chiasm.batch.packed import NO_LABEL, NOBODY
from chiasm.batch.streams import PADDING, TEXT, Streams, StreamShape
from chiasm.data.packing import pack_documents
from chiasm.data.rows import Assembler, Row
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Continuous, Document, Image, Text
from chiasm.rgb import ImageShape

VISION = TEXT + 1
TARGET = Image(np.full((8, 8, 3), 9, np.uint8), target=True)
CONTEXT = Image(np.full((8, 8, 3), 5, np.uint8), target=False)
SPANS = st.one_of(
    st.sampled_from([TARGET, CONTEXT]),
    st.text("ab 7é<|boi|>", max_size=8).map(Text),
)
DOCUMENTS = st.lists(
    st.lists(SPANS, min_size=1, max_size=5).map(lambda spans: Document(tuple(spans))),
    min_size=1,
    max_size=5,
)


def reference(ids, documents, dropped, tokenizer):
    """Tables of one row by their definitions; ``dropped`` holds one flag for each image."""
    marks, num_positions = tokenizer.marks["image"], len(ids)
    kind = [
        PADDING if document == NOBODY else (VISION if token == marks.fill else TEXT)
        for token, document in zip(ids, documents, strict=True)
    ]
    label, position, first, last = [], [], [], []
    image = -1
    for q in range(num_positions):
        if kind[q] == PADDING:
            label.append(NO_LABEL)
            position.append(0)
            first.append(q)
            last.append(q)
            continue
        begin = next(k for k in range(num_positions) if documents[k] == documents[q])
        position.append(q - begin)
        is_boi = ids[q] == marks.begin
        image += is_boi
        follows = q + 1 < num_positions and documents[q + 1] == documents[q]
        predicts = follows and kind[q] == TEXT and kind[q + 1] == TEXT
        label.append(ids[q + 1] if predicts else NO_LABEL)
        end = q
        while kind[q] == VISION and kind[end + 1] == VISION:
            end += 1
        last.append(end)
        boi = q
        while kind[q] == VISION and ids[boi] != marks.begin:
            boi -= 1
        blind = (is_boi or kind[q] == VISION) and dropped[image]
        first.append(boi if blind else begin)
    return {
        "modality_BT": kind,
        "label_BT": label,
        "position_BT": position,
        "first_BT": first,
        "last_BT": last,
    }


def dropped_from_left_to_right(batch, row):
    """One flag for each item of the row, whichever stream reads it."""
    flags = {}
    for own in batch.slots.values():
        mine = own.row_N == row
        flags |= dict(zip(own.start_N[mine].tolist(), own.dropped_N[mine].tolist(), strict=True))
    return [flags[start] for start in sorted(flags)]


def check(batch, tokenizer):
    batch.validate()
    for b in range(batch.num_rows):
        expected = reference(
            batch.ids_BT[b].tolist(),
            batch.document_BT[b].tolist(),
            dropped_from_left_to_right(batch, b),
            tokenizer,
        )
        for name, values in expected.items():
            assert getattr(batch, name)[b].tolist() == values, name


@settings(max_examples=60, deadline=None)
@given(documents=DOCUMENTS, sequence_length=st.integers(11, 30))
@example(documents=[Document((TARGET, TARGET))], sequence_length=12)  # both, exactly a row
@example(documents=[Document((CONTEXT,))] * 3, sequence_length=14)  # an image begins and ends it
@example(documents=[Document((Text(""), TARGET, Text("")))], sequence_length=11)
@example(documents=[Document((Text(""),)), Document((CONTEXT, Text("a")))], sequence_length=11)
def test_tables_match_the_reference(made, documents, sequence_length):
    batch = pack_documents(documents, made.tokenizer, made.reader, sequence_length)
    check(batch, made.tokenizer)
    images = [image for document in documents for image in document.images]
    slots = batch.slots["image"]
    assert len(slots) == len(images)
    assert int(slots.target_N.sum()) == sum(image.target for image in images)
    for target, pixels in zip(slots.target_N, slots.items, strict=True):
        assert (pixels == (9 if target else 5)).all()  # roles and pictures stay together


@settings(max_examples=40, deadline=None)
@given(documents=DOCUMENTS, sequence_length=st.integers(11, 30))
@example(documents=[Document((TARGET, CONTEXT, TARGET))], sequence_length=22)
def test_tables_match_the_reference_where_streams_differ_in_their_grids(
    made, documents, sequence_length
):
    shapes = {"image": made.shape, "seen": ImageShape(6, 4, 2, 2)}
    reader = made.Reader(shapes, seen="image")
    batch = pack_documents(documents, made.tokenizer, reader, sequence_length)
    check(batch, made.tokenizer)
    images = [image for document in documents for image in document.images]
    for name, shape in shapes.items():
        slots, drawn = batch.slots[name], name == "image"
        assert len(slots) == sum(image.target == drawn for image in images)
        assert (slots.target_N == drawn).all()
        assert (slots.grid_NA == torch.tensor([shape.rows, shape.columns])).all()
        size = (3, shape.height_pixels, shape.width_pixels)
        assert {pixels.shape for pixels in slots.items} <= {size}
        assert all((pixels == (9 if drawn else 5)).all() for pixels in slots.items)


class Sounds:
    """Reads pictures of one token, and sounds of as many tokens as the number they are given as."""

    streams = Streams(
        (StreamShape("image", "vision", (1, 1), 1), StreamShape("sound", "s", (3,), 2))
    )

    def grid(self, item):
        return self.streams[item.stream].grid

    def read(self, item):
        return torch.full((3, 1, 1), 9) if item.stream == "image" else torch.full((3, 2), item.data)


def test_items_of_another_modality_and_of_one_axis_lie_in_their_own_slots():
    """<bod> sound <boi> image <eoi> sound <eod>, and nothing between them."""
    tokenizer = TextTokenizer.train(["ab"], 300, ["sound"])
    first, second = (Continuous(float(n), target=n == 2, stream="sound") for n in (1, 2))
    batch = pack_documents([Document((first, TARGET, second))], tokenizer, Sounds(), 16)
    batch.validate()
    assert batch.modality_BT[0].tolist() == [1, 1, 3, 3, 3, 1, 1, 2, 1, 1, 3, 3, 3, 1, 1, 0]
    assert batch.last_BT[0].tolist() == [0, 1, 4, 4, 4, 5, 6, 7, 8, 9, 12, 12, 12, 13, 14, 15]
    assert (batch.first_BT[0, :15] == 0).all()
    sound = batch.slots["sound"]
    assert sound.start_N.tolist() == [2, 10]
    assert sound.target_N.tolist() == [False, True]
    assert sound.place_LA.tolist() == [[0], [1], [2]] * 2
    assert [float(each[0, 0]) for each in sound.items] == [1, 2]
    assert sound.position_G.tolist() == [10, 11, 12]
    assert batch.slots["image"].position_L.tolist() == [7]
    marks = [marks.begin for marks in tokenizer.marks.values()]
    predicted = [label for label in batch.label_BT[0].tolist() if label != NO_LABEL]
    assert predicted == [marks[1], marks[0], marks[1], tokenizer.eod_id]


def one_row(made, documents, lane=0, number=0):
    """The row that holds the documents, for assemblers that drop conditions."""
    batch = pack_documents(documents, made.tokenizer, made.reader, 256)
    assert batch.num_rows == 1
    slots = batch.slots["image"]
    return Row(
        ids_T=batch.ids_BT[0].numpy(),
        document_T=batch.document_BT[0].numpy(),
        position_T=batch.position_BT[0].numpy(),
        source_S=np.zeros(len(documents), int),
        stream_I=np.zeros(len(slots), int),
        target_I=slots.target_N.numpy(),
        contents=slots.items,
        grids=tuple(map(tuple, slots.grid_NA.tolist())),
        lane=lane,
        number=number,
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), documents=st.lists(DOCUMENTS.map(lambda d: d[0]), max_size=2))
def test_dropped_conditions_match_the_reference(made, seed, documents):
    row = one_row(made, [*documents[:1], Document((Text("ab"), TARGET, CONTEXT, TARGET))])
    batch = Assembler(made.tokenizer, made.reader.streams, ("one",), 0.5, seed)([row])
    check(batch, made.tokenizer)
    slots = batch.slots["image"]
    assert not (slots.dropped_N & ~slots.target_N).any()


def test_a_dropped_image_sees_its_boi_and_itself_and_later_text_sees_all(made):
    row = one_row(made, [Document((Text("ab"), TARGET, Text("ab")))])
    batch = Assembler(made.tokenizer, made.reader.streams, ("one",), 0.999, 0)([row])
    slots = batch.slots["image"]
    start = int(slots.start_N[0])
    assert slots.dropped_N.tolist() == [True]
    assert batch.first_BT[0, start - 1 : start + 3].tolist() == [start - 1] * 4
    assert batch.last_BT[0, start - 1 : start + 3].tolist() == [start - 1] + [start + 2] * 3
    assert (batch.first_BT[0, start + 3 : start + 6] == 0).all()


def test_the_share_dropped_is_the_one_asked_for(made):
    rows = [one_row(made, [Document((TARGET,) * 4)], number=n) for n in range(250)]
    batch = Assembler(made.tokenizer, made.reader.streams, ("one",), 0.1, 7)(rows)
    assert batch.slots["image"].dropped_N.float().mean() == pytest.approx(0.1, abs=0.03)


def test_drops_belong_to_seed_lane_and_row_not_to_the_batch(made):
    documents = [Document((TARGET,) * 8)]
    rows = [one_row(made, documents, lane, number) for lane in range(2) for number in range(4)]
    drop = Assembler(made.tokenizer, made.reader.streams, ("one",), 0.5, 7)
    together = drop(rows).slots["image"].dropped_N.reshape(8, 8)
    alone = torch.stack([drop([row]).slots["image"].dropped_N for row in reversed(rows)]).flip(0)
    assert torch.equal(together, alone)
    assert len({tuple(flags) for flags in together.tolist()}) == 8
    other = Assembler(made.tokenizer, made.reader.streams, ("one",), 0.5, 8)(rows)
    assert not torch.equal(other.slots["image"].dropped_N.reshape(8, 8), together)
