"""Bits per byte of every source's text, against n-grams on the same tokens."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from chiasm.data.encoding import DocumentEncoder
from chiasm.documents import Document, Source
from chiasm.errors import UserError
from chiasm.evaluation.evaluation import Findings
from chiasm.evaluation.material import Items, Material, pick
from chiasm.evaluation.ngrams import NGram
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.scoring import DocumentText, lossless, score_text, without_images
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.pretrained import Pretrained

SECTION = "text"
RECURRENCE = "recurrence"
ORDERS = {"unigram": 1, "trigram": 3, "5-gram": 5}
HEADLINE_BASELINE = "trigram"
HARNESS = "bits per byte without <eod>, as lm-evaluation-harness counts"
"""Its ``bits_per_byte``: log-likelihood of a document's tokens behind ``<bod>``, and no end."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def measure_text(
    pretrained: Pretrained, material: Material, settings: EvaluationSettings
) -> Findings:
    """Rows of every source that has text; what comes with its pictures is read with them."""
    rows: list[Row] = []
    skipped = {}
    for name, source in material.held_out.items():
        items = pick(source, settings.text_documents, material.log).with_text()
        if len({document.text for document in items.documents}) < 2:
            continue  # nothing to predict
        try:
            items, lost = lossless(items, pretrained.text_tokenizer, name)
            rows += _source_rows(name, items, material.train[name], pretrained, settings)
        except UserError as error:
            lost = str(error)
        if lost:
            skipped[f"{SECTION}, {name}"] = lost
    return Findings(rows, skipped=skipped)


def _source_rows(
    name: str,
    items: Items,
    train: Source,
    pretrained: Pretrained,
    settings: EvaluationSettings,
) -> list[Row]:
    score = score_text(items.documents, pretrained, settings.seed)
    bits = score.nats / math.log(2)
    bytes_ = np.array([len(document.text.encode()) for document in items.documents], float)
    measure = Measurement(SECTION, "bits/byte", "lower", settings.seed, items.clusters, bytes_)
    training = pick(train, settings.ngram_documents, pictures=False).documents
    sequences = _read(training, pretrained)
    is_text = not any(any(document.images) for document in items.documents)
    rows = [
        measure.row(
            f"{name}: bits per byte" + ("" if is_text else " of its text, given its pictures"),
            bits,
            _ngram_bits(score.texts, sequences, order, pretrained, len(bits)),
            baseline,
            headline=is_text and baseline == HEADLINE_BASELINE,
        )
        for baseline, order in ORDERS.items()
    ]
    if not is_text:
        return rows
    harness = measure.row(f"{name}: {HARNESS}", bits - score.marks_nats / math.log(2))
    return [*rows, harness, _recurrence_row(name, items, training, settings.seed)]


def _read(documents: list[Document], pretrained: Pretrained) -> list[np.ndarray]:
    """Token numbers of documents as n-grams read them."""
    encode = DocumentEncoder(
        pretrained.text_tokenizer,
        pretrained.tokenizers.streams,
        pretrained.context_positions,
    )
    pieces = (piece.ids for document in documents for piece in encode(document))
    return [ids[without_images(ids, pretrained)] for ids in pieces]


def _ngram_bits(
    texts: list[DocumentText],
    sequences: list[np.ndarray],
    order: int,
    pretrained: Pretrained,
    num_documents: int,
) -> np.ndarray:
    """Bits of each document's scored tokens under an n-gram: float64 [documents]."""
    model = NGram.fit(sequences, order, pretrained.text_tokenizer.vocabulary_size)
    bits = np.zeros(num_documents)
    log2 = model.log2_probabilities([text.tokens for text in texts])
    for text, own in zip(texts, log2, strict=True):
        bits[text.document] -= own[text.scored[1:]].sum()
    return bits


def _recurrence_row(name: str, items: Items, training: list[Document], seed: int) -> Row:
    """Share of held-out sentences that stand word for word in what the n-grams read."""
    seen = {sentence for document in training for sentence in _sentences(document.text)}
    held_out = [list(_sentences(document.text)) for document in items.documents]
    again = np.array([sum(s in seen for s in sentences) for sentences in held_out], float)
    counts = np.array([len(sentences) for sentences in held_out], float)
    measure = Measurement(RECURRENCE, "share", "lower", seed, items.clusters, counts)
    return measure.row(f"{name}: held-out sentences that recur in training", again)


def _sentences(text: str) -> Iterator[str]:
    return (part.strip() for part in _SENTENCE_END.split(text) if part.strip())
