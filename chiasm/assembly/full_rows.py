"""Batches of full rows that no data was read for: their shapes are a recipe's, their contents
nothing's."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import torch

from chiasm.batch.packed import PackedBatch
from chiasm.batch.slots import RawLatents
from chiasm.batch.streams import IMAGE, Streams, StreamShape
from chiasm.data.rows import Assembler, Row
from chiasm.data.tokenizer import TextTokenizer

CAPTION_TOKENS = 32
"""Text of the document of an item."""

MARKED = 4
"""Positions of a document of one item beside these: its ends, and the item's marks."""


def full_batch(
    streams: Streams, rows: int, sequence_length: int, condition_dropout: float, seed: int
) -> PackedBatch:
    """Returns rows without padding.

    Up to half of each are items of the streams in turn, each in a document of its own behind a
    caption; the rest is one document of text. Latents lie on the meta device.
    """
    marked = [shape.name for shape in streams if IMAGE != shape.name == shape.marks]
    tokenizer = TextTokenizer.train(["text"], 300, marked)
    assemble = Assembler(tokenizer, streams, ("full rows",), condition_dropout, seed)
    return assemble([_row(streams, sequence_length, number, tokenizer) for number in range(rows)])


def _row(streams: Streams, length: int, number: int, tokenizer: TextTokenizer) -> Row:
    items = _items(streams, length)
    documents = [_document(shape, length, tokenizer) for shape in items]
    if (left := length - sum(map(len, documents))) > 0:
        documents.append([tokenizer.bod_id, *[tokenizer.pad_id] * (left - 1)])
    lengths = [len(ids) for ids in documents]
    return Row(
        ids_T=np.concatenate(documents),
        document_T=np.arange(len(documents)).repeat(lengths),
        position_T=np.concatenate([np.arange(own) for own in lengths]),
        source_S=np.zeros(len(documents), np.int64),
        stream_I=np.array([streams.names.index(shape.name) for shape in items], np.int64),
        target_I=np.array([not shape.context_of for shape in items], bool),
        grids=tuple(shape.grid for shape in items),
        contents=tuple(
            RawLatents(torch.empty(shape.num_tokens, shape.channels, device="meta"))
            for shape in items
        ),
        lane=0,
        number=number,
    )


def _items(streams: Streams, length: int) -> list[StreamShape]:
    """What items a row has room for: half of it, or one."""
    items: list[StreamShape] = []
    for shape in cycle(streams):
        taken = sum(each.num_tokens for each in items) + shape.num_tokens
        captions = (len(items) + 1) * (CAPTION_TOKENS + MARKED)
        if items and (taken > length // 2 or taken + captions > length):
            break
        items.append(shape)
    return items


def _document(shape: StreamShape, length: int, tokenizer: TextTokenizer) -> list[int]:
    """Caption and item, no longer than a row."""
    marks = tokenizer.marks[shape.marks]
    caption = [tokenizer.pad_id] * min(CAPTION_TOKENS, length - MARKED - shape.num_tokens)
    item = [marks.begin, *[marks.fill] * shape.num_tokens, marks.end]
    return [tokenizer.bod_id, *caption, *item, tokenizer.eod_id]
