"""Bits per byte of every source's text, against n-grams on the same tokens."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from chiasm.data.encoding import DocumentEncoder
from chiasm.documents import Document
from chiasm.errors import UserError
from chiasm.evaluation.evaluation import Findings
from chiasm.evaluation.material import Items, pick
from chiasm.evaluation.measure import Measure
from chiasm.evaluation.ngrams import NGram
from chiasm.evaluation.rows import Row
from chiasm.evaluation.shared import MeasureSettings

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run
    from chiasm.evaluation.scoring import DocumentText
    from chiasm.inference.pretrained import Pretrained

RECURRENCE = "recurrence"
ORDERS = {"unigram": 1, "trigram": 3, "5-gram": 5}
HEADLINE_BASELINE = "trigram"
HARNESS = "bits per byte without <eod>, as lm-evaluation-harness counts"
"""Its ``bits_per_byte``: log-likelihood of a document's tokens behind ``<bod>``, without
the end.
"""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


class TextSettings(MeasureSettings):
    """How much text is measured."""

    text_documents: int = Field(400, ge=2)
    """Held-out documents for each source's bits per byte."""
    ngram_documents: int = Field(6000, ge=1)
    """Training documents of each source that the n-gram baselines count, at most."""


class BitsPerByte(Measure[TextSettings]):
    """Bits per byte of every source that has text; text with images is scored given the images.

    For sources of text alone, the share of sentences that recur in training is added.
    """

    section = "text"
    settings = TextSettings
    baselines = (
        "The unigram, trigram and 5-gram are interpolated Kneser-Ney models over the same "
        "tokenizer's ids, fitted on training documents of the same source (at most "
        "ngram_documents of the evaluation's settings) and scored on exactly the tokens that the "
        "model predicts: those of the text and the marks <eod> and <boi>, while bytes are those "
        "of the text. For a source with pictures the n-grams read its text only. Without <eod>: "
        "the bits_per_byte of lm-evaluation-harness, the text's own tokens behind the begin of "
        "its document; two to this power is its byte_perplexity."
    )
    others: ClassVar[Mapping[str, str]] = {
        RECURRENCE: "Sentences from a grammar recur; the share of held-out sentences that stand "
        "word for word in the training split says how much of the text score could be memory."
    }

    def measure(self, run: Run[TextSettings]) -> Findings:
        """Returns rows of every source that has text."""
        from chiasm.evaluation.scoring import lossless

        rows: list[Row] = []
        skipped = {}
        for name in run.material.held_out:
            items = run.pick(name, run.settings.text_documents).with_text()
            if len({document.text for document in items.documents}) < 2:
                continue  # nothing to predict
            try:
                items, lost = lossless(items, run.pretrained.text_tokenizer, name)
                rows += _source_rows(run, name, items)
            except UserError as error:
                lost = str(error)
            if lost:
                skipped[f"{self.section}, {name}"] = lost
        if not rows:
            skipped.setdefault(self.section, "no source has text that can be measured")
        return Findings(rows, skipped=skipped)


def _source_rows(run: Run[TextSettings], name: str, items: Items) -> list[Row]:
    from chiasm.evaluation.scoring import score_text

    score = score_text(items.documents, run.pretrained, run.settings.seed)
    bits = score.nats / math.log(2)
    bytes_ = np.array([len(document.text.encode()) for document in items.documents], float)
    measure = run.measurement(BitsPerByte.section, "bits/byte", "lower", items.clusters, bytes_)
    count = run.settings.ngram_documents
    training = pick(run.material.train[name], count, pictures=False).documents
    sequences = _read(training, run.pretrained)
    is_text = not any(any(document.items) for document in items.documents)
    shown = "pictures" if any(any(document.images) for document in items.documents) else "items"
    vocabulary = run.pretrained.text_tokenizer.vocabulary_size
    models = NGram.fit(sequences, list(ORDERS.values()), vocabulary)
    rows = [
        measure.row(
            f"{name}: bits per byte" + ("" if is_text else f" of its text, given its {shown}"),
            bits,
            _ngram_bits(score.texts, model, len(bits)),
            baseline,
            headline=is_text and baseline == HEADLINE_BASELINE,
        )
        for baseline, model in zip(ORDERS, models, strict=True)
    ]
    if not is_text:
        return rows
    harness = measure.row(f"{name}: {HARNESS}", bits - score.marks_nats / math.log(2))
    return [*rows, harness, _recurrence_row(run, name, items, training)]


def _read(documents: list[Document], pretrained: Pretrained) -> list[np.ndarray]:
    """Returns the token ids of documents that n-grams read."""
    from chiasm.evaluation.scoring import without_images

    encode = DocumentEncoder(
        pretrained.text_tokenizer, pretrained.tokenizers, pretrained.context_positions
    )
    pieces = (piece.ids for document in documents for piece in encode(document))
    return [ids[without_images(ids, pretrained)] for ids in pieces]


def _ngram_bits(texts: list[DocumentText], model: NGram, num_documents: int) -> np.ndarray:
    """Returns the bits of each document's scored tokens under an n-gram: float64 [documents]."""
    bits = np.zeros(num_documents)
    log2 = model.log2_probabilities([text.tokens for text in texts])
    for text, own in zip(texts, log2, strict=True):
        bits[text.document] -= own[text.scored[1:]].sum()
    return bits


def _recurrence_row(
    run: Run[TextSettings], name: str, items: Items, training: Sequence[Document]
) -> Row:
    """Returns the share of held-out sentences that the n-grams' training data has word for word."""
    seen = {sentence for document in training for sentence in _sentences(document.text)}
    held_out = [list(_sentences(document.text)) for document in items.documents]
    again = np.array([sum(s in seen for s in sentences) for sentences in held_out], float)
    counts = np.array([len(sentences) for sentences in held_out], float)
    measure = run.measurement(RECURRENCE, "share", "lower", items.clusters, counts)
    return measure.row(f"{name}: held-out sentences that recur in training", again)


def _sentences(text: str) -> Iterator[str]:
    return (part.strip() for part in _SENTENCE_END.split(text) if part.strip())
