"""Losses of single documents: packed together for speed, summed apart.

A packed batch keeps a source number at every position; here each document is a source of its own,
so the objective's sums by source are sums by document.

Shape suffixes: D documents; M positions and those of a packed batch besides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, takewhile

import numpy as np
import torch
from torch import Tensor

from chiasm.batch.packed import NO_LABEL, PackedBatch
from chiasm.batch.streams import IMAGE, PADDING
from chiasm.data.packing import pack_documents
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Text
from chiasm.errors import UserError
from chiasm.evaluation.material import Items
from chiasm.inference.pretrained import Pretrained
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.training.objective import Objective
from chiasm.training.settings import ObjectiveSettings

DOCUMENTS_PER_BATCH = 24
"""Bounds memory; changes no result but the noise of an item."""

SEED_STRIDE = 1_000_003
"""Distance between the seeds of successive batches, so that no two evaluations share noise."""


@dataclass(frozen=True)
class DocumentText:
    """The tokens that an n-gram reads of one document (or of one of its pieces)."""

    document: int
    tokens: np.ndarray
    """Token ids from the beginning of the document, without those of items: int64 [n]."""
    scored: np.ndarray
    """Whether the model predicts each token, bool [n]."""


@dataclass(frozen=True)
class TextScore:
    """The model's cross-entropy on the text of some documents."""

    nats: np.ndarray
    """Sum over all predicted tokens, ``<eod>`` and marks of items included: float64 [documents]."""
    marks_nats: np.ndarray
    """Sum over these marks alone, which are no bytes of the text: float64 [documents]."""
    texts: list[DocumentText]


def batches(
    documents: Sequence[Document], pretrained: Pretrained
) -> Iterator[tuple[int, PackedBatch]]:
    """Yields packed batches on the model's device, with the number of each one's first document."""
    for begin in range(0, len(documents), DOCUMENTS_PER_BATCH):
        chunk = documents[begin : begin + DOCUMENTS_PER_BATCH]
        batch = pack_documents(
            chunk,
            pretrained.text_tokenizer,
            pretrained.tokenizers,
            pretrained.context_positions,
            source_numbers=range(len(chunk)),
            source_names=tuple(map(str, range(len(chunk)))),
        )
        yield begin, batch.to(pretrained.device)


def hidden_vectors(batch: PackedBatch, pretrained: Pretrained) -> Tensor:
    """Returns the vectors [M, D] that the heads read, of all positions, with items clean."""
    latents = pretrained.tokenizers.encode(batch.slots)
    inputs = DecoderInput.from_batch(batch, latents, all_at(batch, 1.0))
    return pretrained.decoder(inputs, IntervalMask.from_batch(batch)).flatten(0, 1)


@torch.inference_mode()
def score_text(documents: Sequence[Document], pretrained: Pretrained, seed: int) -> TextScore:
    """Returns the cross-entropy of each document's text, with its items clean."""
    objective = Objective(ObjectiveSettings(**pretrained.flow.model_dump()))
    nats_D2, texts = np.zeros((len(documents), 2)), []
    for begin, batch in batches(documents, pretrained):
        latents = pretrained.tokenizers.encode(batch.slots)
        marked = _with_marks_apart(batch, pretrained)
        losses = objective.losses(pretrained.decoder, marked, latents, seed, all_at(batch, 1.0))
        of_batch = losses.text.sum_S.cpu().numpy().reshape(-1, 2)
        nats_D2[begin : begin + len(of_batch)] = of_batch
        texts += _texts(batch, begin, pretrained)
    return TextScore(nats_D2.sum(1), nats_D2[:, 1], texts)


def _with_marks_apart(batch: PackedBatch, pretrained: Pretrained) -> PackedBatch:
    """Returns the batch with two sources for each one: 2k is the text of k, 2k + 1 its marks."""
    tokenizer = pretrained.text_tokenizer
    predicted = [tokenizer.eod_id, *(marks.begin for marks in tokenizer.marks.values())]
    mark_BT = torch.isin(batch.label_BT, torch.tensor(predicted, device=batch.label_BT.device))
    names = tuple(f"{name}{part}" for name in batch.source_names for part in ("", ", marks"))
    return replace(batch, source_BT=2 * batch.source_BT + mark_BT, source_names=names)


def lossless(items: Items, tokenizer: TextTokenizer, name: str) -> tuple[Items, str]:
    """Returns the items whose text its tokens restore, and a message about the others.

    What a tokenizer loses (an unknown word, capital letters, spaces) is never predicted: its bytes
    would count as known for nothing.

    Raises:
        UserError: it loses more than half of them.
    """
    lost = {n: text for n, each in enumerate(items.documents) for text in _lost(each, tokenizer)}
    if not lost:
        return items, ""
    text = next(iter(lost.values()))
    back = tokenizer.decode(tokenizer.encode(text))
    alike = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, back, strict=False))
    )
    shown = slice(max(0, alike - 10), alike + 20)
    said = (
        f"the text tokenizer loses text: {len(lost)} of {len(items.documents)} documents of "
        f"{name!r} do not come back from their tokens ({text[shown]!r} comes back as "
        f"{back[shown]!r}), and bits per byte of them would count bytes that nothing predicts; "
        'train with a tokenizer.path that keeps every byte, or with tokenizer.path = ""'
    )
    if 2 * len(lost) > len(items.documents):
        raise UserError(said)
    return items.select([n for n in range(len(items.documents)) if n not in lost]), said


def _lost(document: Document, tokenizer: TextTokenizer) -> Iterator[str]:
    """Yields the first run of texts, uninterrupted by items, that its tokens do not restore."""
    runs = groupby(document.spans, key=lambda span: isinstance(span, Text))
    for is_text, run in runs:
        text = "".join(span.text for span in run if isinstance(span, Text))
        if is_text and not tokenizer.restores(text):
            yield text
            return


@torch.inference_mode()
def score_flow(
    documents: Sequence[Document],
    pretrained: Pretrained,
    times: Sequence[float],
    seed: int,
    stream: str = IMAGE,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the velocity loss of each document's targets of a stream at fixed flow times.

    These are sums [times, documents], and the number of latent tokens [documents] in each.
    """
    objective = Objective(ObjectiveSettings(**pretrained.flow.model_dump(), loss_space="v"))
    sums, counts = np.zeros((len(times), len(documents))), np.zeros(len(documents))
    for number, (begin, batch) in enumerate(batches(documents, pretrained)):
        latents = pretrained.tokenizers.encode(batch.slots)
        end = begin + len(batch.source_names)
        for row, time in enumerate(times):
            noise_seed, at = seed * SEED_STRIDE + number, all_at(batch, time)
            losses = objective.losses(pretrained.decoder, batch, latents, noise_seed, at)
            sums[row, begin:end] = losses.flow[stream].sum_S.cpu().numpy()
            counts[begin:end] = losses.flow[stream].count_S.cpu().numpy()
    return sums, counts


def all_at(batch: PackedBatch, time: float) -> dict[str, Tensor]:
    """Returns one flow time for all items of each stream: float32 [N]."""
    return {
        name: torch.full((len(own),), time, device=own.row_N.device)
        for name, own in batch.slots.items()
    }


def without_images(ids: np.ndarray, pretrained: Pretrained) -> np.ndarray:
    """Returns a mask of the tokens that an n-gram reads: all but an item's inside and its end."""
    tokenizer = pretrained.text_tokenizer
    inside = [mark for marks in tokenizer.marks.values() for mark in (marks.fill, marks.end)]
    return np.logical_and.reduce([ids != mark for mark in (*inside, tokenizer.pad_id)])


def _texts(batch: PackedBatch, begin: int, pretrained: Pretrained) -> list[DocumentText]:
    ids_BT, document_BT = batch.ids_BT.cpu().numpy(), batch.document_BT.cpu().numpy()
    source_BT = batch.source_BT.cpu().numpy()
    predicts_BT = (batch.label_BT != NO_LABEL).cpu().numpy()
    filled_BT = (batch.modality_BT != PADDING).cpu().numpy()
    scored_BT = np.zeros_like(predicts_BT)
    # A label stands at the position before its token.
    scored_BT[:, 1:] = predicts_BT[:, :-1]
    texts = []
    for row in range(batch.num_rows):
        for document in np.unique(document_BT[row, filled_BT[row]]):
            inside = np.flatnonzero(document_BT[row] == document)
            read = inside[without_images(ids_BT[row, inside], pretrained)]
            number = begin + int(source_BT[row, inside[0]])
            texts.append(DocumentText(number, ids_BT[row, read], scored_BT[row, read]))
    return texts
