"""Losses of single documents: packed together for speed, summed apart.

A packed batch keeps a source number at every position; here each document is a source of its own,
so the objective's sums by source are sums by document.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from chiasm.data.batch import NO_LABEL, Modality, PackedBatch
from chiasm.data.packing import pack_documents
from chiasm.documents import Document
from chiasm.inference.pretrained import Pretrained
from chiasm.training.objective import Objective
from chiasm.vision.tokenizer import encode_images

DOCUMENTS_PER_BATCH = 24
"""Bounds memory; changes no result but the noise that an image meets."""

SEED_STRIDE = 1_000_003
"""Seeds of successive batches lie this far apart, so that no two evaluations share noise."""


@dataclass(frozen=True)
class DocumentText:
    """What an n-gram reads of one document (or of one of its pieces)."""

    document: int
    tokens: np.ndarray
    """int64 [n]: token numbers from the begin of the document, image tokens left out."""
    scored: np.ndarray
    """bool [n]: the model predicts this token."""


@dataclass(frozen=True)
class TextScore:
    """How the model predicts the text of some documents."""

    nats: np.ndarray
    """float64 [documents]."""
    texts: list[DocumentText]


def batches(
    documents: Sequence[Document], pretrained: Pretrained
) -> Iterator[tuple[int, PackedBatch]]:
    """Packed batches on the model's device, and the number of each one's first document."""
    for begin in range(0, len(documents), DOCUMENTS_PER_BATCH):
        chunk = documents[begin : begin + DOCUMENTS_PER_BATCH]
        batch = pack_documents(
            chunk,
            pretrained.text_tokenizer,
            pretrained.vision_tokenizer.shapes,
            pretrained.context_positions,
            source_numbers=range(len(chunk)),
            source_names=tuple(map(str, range(len(chunk)))),
        )
        yield begin, batch.to(pretrained.device)


@torch.inference_mode()
def score_text(documents: Sequence[Document], pretrained: Pretrained, seed: int) -> TextScore:
    """Cross-entropy of each document's text, with its pictures clean."""
    objective = Objective(pretrained.objective)
    nats, texts = np.zeros(len(documents)), []
    for begin, batch in batches(documents, pretrained):
        latents = encode_images(pretrained.vision_tokenizer, batch.images)
        clean_N = torch.ones(len(batch.images), device=pretrained.device)
        losses = objective.losses(pretrained.decoder, batch, latents, seed, clean_N)
        nats[begin : begin + len(batch.source_names)] = losses.text_sum_S.cpu().numpy()
        texts += _texts(batch, begin, pretrained)
    return TextScore(nats, texts)


@torch.inference_mode()
def score_flow(
    documents: Sequence[Document], pretrained: Pretrained, times: Sequence[float], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Velocity loss of each document's target images at fixed flow times.

    Returns sums [times, documents] and the number of latent tokens [documents] that they are over.
    """
    objective = Objective(pretrained.objective.model_copy(update={"loss_space": "v"}))
    sums, counts = np.zeros((len(times), len(documents))), np.zeros(len(documents))
    for number, (begin, batch) in enumerate(batches(documents, pretrained)):
        latents = encode_images(pretrained.vision_tokenizer, batch.images)
        end = begin + len(batch.source_names)
        for row, time in enumerate(times):
            time_N = torch.full((len(batch.images),), time, device=pretrained.device)
            noise_seed = seed * SEED_STRIDE + number
            losses = objective.losses(pretrained.decoder, batch, latents, noise_seed, time_N)
            sums[row, begin:end] = losses.flow_sum_S.cpu().numpy()
            counts[begin:end] = losses.flow_count_S.cpu().numpy()
    return sums, counts


def without_images(ids: np.ndarray, pretrained: Pretrained) -> np.ndarray:
    """Which tokens an n-gram reads: all but an image's inside and its end."""
    tokenizer = pretrained.text_tokenizer
    return ~np.isin(ids, (tokenizer.image_id, tokenizer.eoi_id, tokenizer.pad_id))


def _texts(batch: PackedBatch, begin: int, pretrained: Pretrained) -> list[DocumentText]:
    ids_BT, document_BT = batch.ids_BT.cpu().numpy(), batch.document_BT.cpu().numpy()
    source_BT = batch.source_BT.cpu().numpy()
    predicts_BT = (batch.label_BT != NO_LABEL).cpu().numpy()
    filled_BT = (batch.modality_BT != Modality.PADDING).cpu().numpy()
    scored_BT = np.zeros_like(predicts_BT)
    scored_BT[:, 1:] = predicts_BT[:, :-1]
    texts = []
    for row in range(batch.num_rows):
        for document in np.unique(document_BT[row, filled_BT[row]]):
            inside = np.flatnonzero(document_BT[row] == document)
            read = inside[without_images(ids_BT[row, inside], pretrained)]
            number = begin + int(source_BT[row, inside[0]])
            texts.append(DocumentText(number, ids_BT[row, read], scored_BT[row, read]))
    return texts
