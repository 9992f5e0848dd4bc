import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.batch.packed import NOBODY
from chiasm.data.packing import first_fit, pack_documents
from chiasm.documents import Document, Image, Text
from chiasm.errors import UserError


def test_every_document_is_in_the_batch_once(made):
    documents = made.texts(5, 20) + made.pairs(6, 9)
    batch = pack_documents(documents, made.tokenizer, made.reader, 48)
    batch.validate()
    found = []
    for ids_T, document_T in zip(batch.ids_BT, batch.document_BT, strict=True):
        for number in range(int(document_T.max()) + 1):
            ids = ids_T[document_T == number].tolist()
            assert ids[0] == made.tokenizer.bod_id
            assert ids[-1] == made.tokenizer.eod_id
            found.append(made.tokenizer.decode(ids))
    assert sorted(found) == sorted(document.text for document in documents)


def test_sources_follow_their_documents(made):
    documents = [Document((Text("a" * k),)) for k in range(1, 9)]
    numbers = [k % 3 for k in range(8)]
    batch = pack_documents(
        documents,
        made.tokenizer,
        made.reader,
        24,
        source_numbers=numbers,
        source_names=("x", "y", "z"),
    )
    assert batch.source_names == ("x", "y", "z")
    for number, document in zip(numbers, documents, strict=True):
        length = len(made.tokenizer.encode(document.text)) + 2
        sizes = [
            int((d == k).sum())
            for d, s in zip(batch.document_BT, batch.source_BT, strict=True)
            for k in range(int(d.max()) + 1)
            if int(s[d == k][0]) == number
        ]
        assert length in sizes
    assert (batch.source_BT[batch.document_BT == NOBODY] == NOBODY).all()


def test_images_carry_their_source(made):
    batch = pack_documents(
        made.pairs(6, 4), made.tokenizer, made.reader, 64, source_numbers=[3, 2, 1, 0],
        source_names=tuple("abcd"),
    )  # fmt: skip
    images = batch.slots["image"]
    at = batch.source_BT[images.row_N, images.start_N]
    assert torch.equal(images.source_N, at)
    assert sorted(at.tolist()) == [0, 1, 2, 3]


def test_the_same_documents_give_the_same_batch(made):
    one, two = (pack_documents(made.pairs(1, 9), made.tokenizer, made.reader, 40) for _ in range(2))
    assert torch.equal(one.ids_BT, two.ids_BT)
    assert not one.slots["image"].dropped_N.any()


def test_a_row_filled_exactly_has_no_padding(made):
    document = Document((Text("the wall"), Image(made.picture(0), target=True)))
    length = len(made.tokenizer.encode("the wall")) + 5 + 2
    batch = pack_documents([document] * 2, made.tokenizer, made.reader, length)
    assert batch.num_rows == 2
    assert (batch.document_BT == 0).all()
    assert batch.num_filled == 2 * length


@settings(deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=40), st.integers(20, 50))
def test_first_fit(lengths, capacity):
    places = first_fit(lengths, capacity)
    filled = np.bincount(places, weights=lengths)
    assert filled.max() <= capacity
    # No two rows would fit into one: otherwise the later one would not have been opened.
    assert all(a + b > capacity for k, a in enumerate(filled) for b in filled[k + 1 :])


def test_a_row_shorter_than_one_image_is_refused(made):
    [shape] = made.reader.streams
    smallest = shape.num_tokens + 4  # its marks, <bod> and <eod>
    image = Document((Image(made.picture(0), target=True),))
    pack_documents([image], made.tokenizer, made.reader, smallest).validate()
    with pytest.raises(
        UserError, match=rf"stream\.sequence_length = {smallest - 1} .*{smallest} or more"
    ):
        pack_documents([image], made.tokenizer, made.reader, smallest - 1)


def test_nothing_to_pack_is_refused(made):
    with pytest.raises(UserError, match="no documents"):
        pack_documents([], made.tokenizer, made.reader, 40)


def test_a_broken_picture_is_refused(made):
    broken = Document((Image(b"no", target=True),))
    with pytest.raises(UserError, match="cannot be decoded"):
        pack_documents([broken], made.tokenizer, made.reader, 40)
