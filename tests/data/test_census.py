"""Counts of what documents hold, on documents whose content is known."""

import struct
import zlib

import numpy as np
import pytest

from chiasm.data.census import take_census
from chiasm.data.encoding import DocumentEncoder
from chiasm.documents import Document, Image, Text


@pytest.fixture
def taken(made):
    def count(documents, unreadable=frozenset(), length=40, seen=lambda number, document: None):
        source = made.Listed("mine", documents, unreadable=frozenset(unreadable))
        encoder = DocumentEncoder(made.tokenizer, made.reader, length)
        return take_census(source, range(len(documents)), encoder, made.reader.streams, seen)

    return count


def test_positions_items_and_bytes_are_counted_by_stream(made, taken):
    picture = Image(made.picture(1, (6, 9)), target=False)
    documents = [
        Document((picture, Text("caption: é"))),
        Document((Text("story"), picture, picture)),
    ]
    found = taken(documents)
    assert found.documents == found.pieces == 2
    assert found.items == {"image": 3}
    assert found.positions["image"] == 3 * (3 + 2)  # three latent tokens between two marks
    own = sum(len(made.tokenizer.encode(d.text)) + 2 for d in documents)
    assert found.positions["text"] == own
    assert found.text_bytes == len("caption: éstory".encode())
    assert found.sizes_I2.tolist() == [[6, 9]] * 3


def test_what_cannot_be_used_is_counted_by_reason_and_told(made, taken):
    pictures = [b"no picture", made.picture_file(1)]
    documents = [Document((Image(data, target=False),)) for data in pictures]
    documents += [Document(()), Document((Text("never given"),))]
    numbers = []
    found = taken(documents, unreadable={3}, seen=lambda number, _: numbers.append(number))
    assert found.rejects == {
        "a picture cannot be decoded": 1, "empty": 1, "cannot be read": 1
    }  # fmt: skip
    assert found.told[0].startswith("mine[0]: picture 10 bytes cannot be decoded")
    assert found.told[2] == "mine[3]: no document 3"
    assert numbers == [1]
    assert found.documents == 4
    assert len(found.sizes_I2) == 1


def test_long_documents_are_several_pieces(made, taken):
    words = tuple(Text(f"word{n} ") for n in range(30))
    assert taken([Document(words)], length=20).pieces > 2


def test_sizes_are_told_by_their_quantiles(made, taken):
    sizes = [(h, 100) for h in range(1, 101)]
    documents = [Document((Image(np.zeros((*size, 3), np.uint8), target=False),)) for size in sizes]
    shown = taken(documents).shown_sizes()
    assert shown["smallest"] == (1, 100, 0.0)
    assert shown["half"][0] in (50, 51)
    assert shown["largest"] == (100, 100, 0.01)
    assert taken([Document((Text("a"),))]).shown_sizes() == {}
    assert taken(documents).to_json()["pictures"] == 100


def png_of(width, height):
    """A PNG that says so of its size, and has a few bytes of pixels."""

    def chunk(kind, content):
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (20_000, 10_000), (2**31 - 1, 1)])
def test_pictures_of_no_size_and_bombs_are_counted(size, made, taken):
    documents = [Document((Image(data, target=False),)) for data in (png_of(*size), png_of(3, 4))]
    found = taken(documents)
    assert found.rejects == {"a picture cannot be decoded": 1}
    assert found.told[0].startswith("mine[0]: picture ")
    assert found.sizes_I2.tolist() == [[4, 3]]
