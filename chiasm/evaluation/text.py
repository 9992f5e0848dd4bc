"""Bits per byte of every source's text, against n-grams on the same tokens."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from chiasm.data.encoding import DocumentEncoder
from chiasm.documents import Source
from chiasm.evaluation.material import Items, Material, pick, picked
from chiasm.evaluation.ngrams import NGram
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.scoring import DocumentText, score_text, without_images
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.pretrained import Pretrained

SECTION = "text"
RECURRENCE = "recurrence"
ORDERS = {"unigram": 1, "trigram": 3, "5-gram": 5}
HEADLINE_BASELINE = "trigram"

RECURRENCE_DOCUMENTS = 4000
"""Training documents whose sentences are looked up, at most."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def measure_text(
    pretrained: Pretrained, material: Material, settings: EvaluationSettings
) -> list[Row]:
    """Rows of every source that has text; what comes with its pictures is read with them."""
    rows: list[Row] = []
    for name, source in material.held_out.items():
        items = pick(source, settings.text_documents).with_text()
        if items.documents:
            rows += _source_rows(name, items, material.train[name], pretrained, settings)
    return rows


def measure_recurrence(material: Material, settings: EvaluationSettings) -> list[Row]:
    """Share of held-out sentences that stand word for word in the training split."""
    rows = []
    for name, source in material.held_out.items():
        items = pick(source, settings.text_documents)
        if not items.documents or any(any(doc.images) for doc in items.documents):
            continue
        rows.append(_recurrence_row(name, items, material.train[name], settings))
    return rows


def training_tokens(
    source: Source, pretrained: Pretrained, limit: int
) -> tuple[list[np.ndarray], int]:
    """Token numbers of training documents as n-grams read them, at most about ``limit``.

    Documents come from all over the source when not all of it fits. Returns them and their number
    of tokens.
    """
    encode = DocumentEncoder(
        pretrained.text_tokenizer,
        pretrained.vision_tokenizer.image_shape.num_tokens,
        pretrained.context_positions,
    )
    looked_at = picked(source, 64).tolist()
    tokens = sum(len(piece.ids) for number in looked_at for piece in encode(source[number]))
    sequences, count = [], 0
    for number in picked(source, math.ceil(limit * len(looked_at) / max(1, tokens))).tolist():
        for piece in encode(source[number]):
            read = piece.ids[without_images(piece.ids, pretrained)]
            sequences.append(read)
            count += len(read)
    return sequences, count


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
    sequences, _ = training_tokens(train, pretrained, settings.ngram_train_tokens)
    is_text = not any(any(document.images) for document in items.documents)
    label = name if is_text else f"{name}, text given its pictures"
    return [
        measure.row(
            label,
            bits,
            _ngram_bits(score.texts, sequences, order, pretrained, len(bits)),
            baseline,
            headline=is_text and baseline == HEADLINE_BASELINE,
        )
        for baseline, order in ORDERS.items()
    ]


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


def _recurrence_row(name: str, items: Items, train: Source, settings: EvaluationSettings) -> Row:
    seen = {sentence for number in range(len(train)) for sentence in _sentences(train[number].text)}
    held_out = [list(_sentences(document.text)) for document in items.documents]
    again = np.array([sum(s in seen for s in sentences) for sentences in held_out], float)
    counts = np.array([len(sentences) for sentences in held_out], float)
    measure = Measurement(RECURRENCE, "share", "lower", settings.seed, items.clusters, counts)
    return measure.row(f"{name}: held-out sentences that recur in training", again)


def _sentences(text: str) -> Iterator[str]:
    return (part.strip() for part in _SENTENCE_END.split(text) if part.strip())
