"""Every table of a batch against a reference that walks one position at a time."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chiasm.batch.packed import NO_LABEL, NOBODY, PairedShape
from chiasm.batch.streams import Modality
from chiasm.data.packing import pack_documents
from chiasm.data.rows import Assembler, Row
from chiasm.documents import Document, Image, Text
from chiasm.rgb import ImageShape

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
    t, num_positions = tokenizer, len(ids)
    kind = [
        Modality.PADDING
        if document == NOBODY
        else (Modality.VISION if token == t.image_id else Modality.TEXT)
        for token, document in zip(ids, documents, strict=True)
    ]
    label, position, first, last = [], [], [], []
    image = -1
    for q in range(num_positions):
        if kind[q] == Modality.PADDING:
            label.append(NO_LABEL)
            position.append(0)
            first.append(q)
            last.append(q)
            continue
        begin = next(k for k in range(num_positions) if documents[k] == documents[q])
        position.append(q - begin)
        is_boi = ids[q] == t.boi_id
        image += is_boi
        follows = q + 1 < num_positions and documents[q + 1] == documents[q]
        predicts = follows and kind[q] == Modality.TEXT and kind[q + 1] == Modality.TEXT
        label.append(ids[q + 1] if predicts else NO_LABEL)
        end = q
        while kind[q] == Modality.VISION and kind[end + 1] == Modality.VISION:
            end += 1
        last.append(end)
        boi = q
        while kind[q] == Modality.VISION and ids[boi] != t.boi_id:
            boi -= 1
        blind = (is_boi or kind[q] == Modality.VISION) and dropped[image]
        first.append(boi if blind else begin)
    return {
        "modality_BT": kind,
        "label_BT": label,
        "position_BT": position,
        "first_BT": first,
        "last_BT": last,
    }


def check(batch, tokenizer):
    batch.validate()
    for b in range(batch.num_rows):
        mine = batch.images.row_N == b
        expected = reference(
            batch.ids_BT[b].tolist(),
            batch.document_BT[b].tolist(),
            batch.images.dropped_N[mine].tolist(),
            tokenizer,
        )
        for name, values in expected.items():
            assert getattr(batch, name)[b].tolist() == values, name


@settings(max_examples=60, deadline=None)
@given(documents=DOCUMENTS, row_positions=st.integers(11, 30))
@example(documents=[Document((TARGET, TARGET))], row_positions=12)  # both, exactly a row
@example(documents=[Document((CONTEXT,))] * 3, row_positions=14)  # an image begins and ends it
@example(documents=[Document((Text(""), TARGET, Text("")))], row_positions=11)
@example(documents=[Document((Text(""),)), Document((CONTEXT, Text("a")))], row_positions=11)
def test_tables_match_the_reference(made, documents, row_positions):
    batch = pack_documents(documents, made.tokenizer, made.shape, row_positions)
    check(batch, made.tokenizer)
    images = [image for document in documents for image in document.images]
    assert len(batch.images) == len(images)
    assert int(batch.images.target_N.sum()) == sum(image.target for image in images)
    for target, pixels in zip(batch.images.target_N, batch.images.pixels, strict=True):
        assert (pixels == (9 if target else 5)).all()  # roles and pictures stay together


@settings(max_examples=40, deadline=None)
@given(documents=DOCUMENTS, row_positions=st.integers(11, 30))
@example(documents=[Document((TARGET, CONTEXT, TARGET))], row_positions=22)
def test_tables_match_the_reference_where_parts_differ_in_their_grids(
    made, documents, row_positions
):
    shape = PairedShape(target=made.shape, context=ImageShape(6, 4, 2, 2))
    batch = pack_documents(documents, made.tokenizer, shape, row_positions)
    check(batch, made.tokenizer)
    for image in range(len(batch.images)):
        own = shape.of(bool(batch.images.target_N[image]))
        assert batch.images.grid_N2[image].tolist() == [own.rows, own.columns]
        size = (3, own.height_pixels, own.width_pixels)
        assert batch.images.pixels[image].shape == size


def one_row(made, documents, lane=0, number=0):
    """The row that holds the documents, for assemblers that drop conditions."""
    batch = pack_documents(documents, made.tokenizer, made.shape, 256)
    assert batch.num_rows == 1
    return Row(
        ids_T=batch.ids_BT[0].numpy(),
        document_T=batch.document_BT[0].numpy(),
        position_T=batch.position_BT[0].numpy(),
        source_S=np.zeros(len(documents), int),
        target_I=batch.images.target_N.numpy(),
        pictures=batch.images.pixels,
        lane=lane,
        number=number,
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), documents=st.lists(DOCUMENTS.map(lambda d: d[0]), max_size=2))
def test_dropped_conditions_match_the_reference(made, seed, documents):
    row = one_row(made, [*documents[:1], Document((Text("ab"), TARGET, CONTEXT, TARGET))])
    batch = Assembler(made.tokenizer, made.shape, ("one",), 0.5, seed)([row])
    check(batch, made.tokenizer)
    assert not (batch.images.dropped_N & ~batch.images.target_N).any()


def test_a_dropped_image_sees_its_boi_and_itself_and_later_text_sees_all(made):
    row = one_row(made, [Document((Text("ab"), TARGET, Text("ab")))])
    batch = Assembler(made.tokenizer, made.shape, ("one",), 0.999, 0)([row])
    start = int(batch.images.start_N[0])
    assert batch.images.dropped_N.tolist() == [True]
    assert batch.first_BT[0, start - 1 : start + 3].tolist() == [start - 1] * 4
    assert batch.last_BT[0, start - 1 : start + 3].tolist() == [start - 1] + [start + 2] * 3
    assert (batch.first_BT[0, start + 3 : start + 6] == 0).all()


def test_the_share_dropped_is_the_one_asked_for(made):
    rows = [one_row(made, [Document((TARGET,) * 4)], number=n) for n in range(250)]
    batch = Assembler(made.tokenizer, made.shape, ("one",), 0.1, 7)(rows)
    assert batch.images.dropped_N.float().mean() == pytest.approx(0.1, abs=0.03)


def test_drops_belong_to_seed_lane_and_row_not_to_the_batch(made):
    documents = [Document((TARGET,) * 8)]
    rows = [one_row(made, documents, lane, number) for lane in range(2) for number in range(4)]
    drop = Assembler(made.tokenizer, made.shape, ("one",), 0.5, 7)
    together = drop(rows).images.dropped_N.reshape(8, 8)
    alone = torch.stack([drop([row]).images.dropped_N for row in reversed(rows)]).flip(0)
    assert torch.equal(together, alone)
    assert len({tuple(flags) for flags in together.tolist()}) == 8
    other = Assembler(made.tokenizer, made.shape, ("one",), 0.5, 8)(rows).images.dropped_N
    assert not torch.equal(other.reshape(8, 8), together)
