"""Distance between bodies of text: cosine distance of mean TF-IDF vectors.

The embedding is made here and needs no weights: words and pairs of neighbouring words (lower case,
numbers as one word) are hashed into :data:`DIMENSIONS` buckets; a document's vector holds log(1 +
count) · idf, where idf = log((1 + documents) / (1 + documents with the word)) + 1 is taken over all
compared texts together, and is scaled to length 1. A text's vector is the mean over its documents,
and the distance is 1 − cosine. 0 is the same choice of words, 1 shares none. Distances of other
embeddings are on another scale, so that only their order can be compared.

Shape suffixes: D documents, F hash buckets, R resamples.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from chiasm.studies.collect import Record
from chiasm.studies.held_out import open_held_out
from chiasm.studies.opened import Opened
from chiasm.studies.settings import StudySettings

EMBEDDING = "mean TF-IDF vector of hashed words and word pairs"
DIMENSIONS = 1 << 13
RESAMPLES = 200

_WORD = re.compile(r"[^\W\d_]+|\d+")


@dataclass(frozen=True)
class Distance:
    """Cosine distance of a text to the corpus."""

    text: str
    value: float
    standard_error: float
    """Standard error over documents of both sides, by bootstrap."""


def study_distances(
    study: StudySettings, records: Sequence[Record], cache_folder: Path | None
) -> list[Distance]:
    """Returns the distances that a study asks for; none where it asks for none."""
    if study.shift is None:
        return []
    names = dict.fromkeys((study.shift.corpus, *study.shift.texts))
    settings = {name: study.held_out[name] for name in names}
    opened = open_held_out(records[0].cell.recipe, settings, Opened(cache_folder))
    texts = {name: [document.text for document in opened[name].documents] for name in names}
    corpus = texts[study.shift.corpus]
    return distances(corpus, {name: texts[name] for name in study.shift.texts})


def distances(
    corpus: Sequence[str], texts: Mapping[str, Sequence[str]], seed: int = 0
) -> list[Distance]:
    """Returns the distance of every text to the corpus, and of the corpus's halves to each other.

    Args:
        corpus: documents of the reference.
        texts: name → documents.
        seed: of the bootstrap.

    Returns:
        One distance for each text, then one named ``corpus, half against half``: what two samples
        of one text measure.
    """
    half = len(corpus) // 2
    names = {**texts, "corpus, half against half": corpus[half:]}
    counts = [_counts(list(documents)) for documents in (corpus, *texts.values())]
    idf_F = _inverse_frequency(np.concatenate(counts))
    corpus_DF, *texts_DF = (_scaled(count_DF, idf_F) for count_DF in counts)
    pairs = [*((corpus_DF, text_DF) for text_DF in texts_DF), (corpus_DF[:half], corpus_DF[half:])]
    random = np.random.default_rng(seed)
    return [_distance(name, *pair, random) for name, pair in zip(names, pairs, strict=True)]


def _distance(
    name: str, corpus_DF: np.ndarray, text_DF: np.ndarray, random: np.random.Generator
) -> Distance:
    resampled = _cosine_distance(_bootstrap(corpus_DF, random), _bootstrap(text_DF, random))
    value = _cosine_distance(corpus_DF.mean(0)[None], text_DF.mean(0)[None])
    return Distance(name, float(value[0]), float(resampled.std(ddof=1)))


def _bootstrap(vectors_DF: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Returns means over documents drawn with replacement: [R, F]."""
    count = len(vectors_DF)
    # A resample of D documents is a multinomial weight per document: all R means in one product.
    weights = random.multinomial(count, np.full(count, 1 / count), RESAMPLES) / count
    return weights.astype(np.float32) @ vectors_DF


def _cosine_distance(a_RF: np.ndarray, b_RF: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(a_RF, axis=1) * np.linalg.norm(b_RF, axis=1)
    return np.maximum(0, 1 - (a_RF * b_RF).sum(1) / np.maximum(norms, 1e-12))


def _counts(documents: list[str]) -> np.ndarray:
    """Returns counts of hashed words and word pairs: float32 [D, F]."""
    counts_DF = np.zeros((len(documents), DIMENSIONS), np.float32)
    for number, document in enumerate(documents):
        words = ["0" if word.isdigit() else word for word in _WORD.findall(document.lower())]
        pairs = (" ".join(pair) for pair in pairwise(words))
        for item, count in Counter([*words, *pairs]).items():
            counts_DF[number, zlib.crc32(item.encode()) % DIMENSIONS] += count
    return counts_DF


def _inverse_frequency(counts_DF: np.ndarray) -> np.ndarray:
    return np.log((1 + len(counts_DF)) / (1 + (counts_DF > 0).sum(0))) + 1


def _scaled(counts_DF: np.ndarray, idf_F: np.ndarray) -> np.ndarray:
    weighted_DF = np.log1p(counts_DF) * idf_F
    norms_D1 = np.linalg.norm(weighted_DF, axis=1, keepdims=True)
    return (weighted_DF / np.maximum(norms_D1, 1e-12)).astype(np.float32)
