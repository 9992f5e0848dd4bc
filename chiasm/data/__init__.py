"""From sources of documents to packed batches: text tokenizer, mixture, packing, stream.

quiet.py       silences a warning of grain's import
batch.py       PackedBatch, the waist: what every stream makes and every model reads
hub.py         is a name one of the hub's, and does it answer
tokenizer.py   text and token numbers
reading.py     documents that can be used, and a count of the others
tables.py      a user's folder, file or hub name as a table
folders.py     sources from such tables
pickles.py     pickled arrays, read without running code
trajectories.py  recorded walks: frames and poses
navigation.py  sources from recorded walks
sources.py     the sources that a recipe names, and their held-out share
encoding.py    a document as integers
keys.py        what tells two pictures apart without decoding them
pictures.py    one picture at the run's size
mixture.py     sources mixed by positions
rows.py        packed rows to PackedBatch
packing.py     a given list of documents as one batch
lanes.py       one lane: mixture, packer, pictures, counts
stream.py      all lanes: the stream of batches and its state
drawing.py     pictures of a packed row
"""

import chiasm.data.quiet  # noqa: F401  (before anything imports grain)
from chiasm.data.batch import (
    NO_LABEL,
    NOBODY,
    ImageShape,
    ImageSlots,
    Modality,
    PackedBatch,
)
from chiasm.data.packing import pack_documents
from chiasm.data.sources import SourceSettings, build_sources, sample_texts
from chiasm.data.stream import Stream, StreamReport, StreamSettings, merge_states
from chiasm.data.tokenizer import TextTokenizer, TokenizerSettings

__all__ = [
    "NOBODY",
    "NO_LABEL",
    "ImageShape",
    "ImageSlots",
    "Modality",
    "PackedBatch",
    "SourceSettings",
    "Stream",
    "StreamReport",
    "StreamSettings",
    "TextTokenizer",
    "TokenizerSettings",
    "build_sources",
    "merge_states",
    "pack_documents",
    "sample_texts",
]
