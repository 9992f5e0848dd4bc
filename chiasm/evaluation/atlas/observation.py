"""Counts of the choices of a trained model's routers on held-out documents.

Documents are read twice over: once as training reads them, with drawn flow times, and once at the
middle of each tenth of flow time, with the same noise, so that the tenths differ in the noise level
alone.

Shape suffixes: D documents, G groups of positions, Q blocks with a router, R routed experts, K
routed experts of a position, B rows, T positions of a row, M = B·T, P some of these M, L latent
tokens of the items of a stream, N items, X modalities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from chiasm.batch.packed import PackedBatch
from chiasm.batch.slots import Slots
from chiasm.batch.streams import TEXT as TEXT_MODALITY
from chiasm.batch.streams import StreamShape
from chiasm.data.reading import ReadingLog
from chiasm.documents import Document, Source, Text
from chiasm.evaluation.atlas.settings import AtlasSettings
from chiasm.evaluation.material import asked_picture, pick
from chiasm.evaluation.scoring import DOCUMENTS_PER_BATCH, SEED_STRIDE, batches
from chiasm.flow import mix
from chiasm.inference.pretrained import Pretrained
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.training.losses import NOISE_BINS
from chiasm.training.noise import draw_noise
from chiasm.training.objective import Objective
from chiasm.training.settings import ObjectiveSettings

ProgressCallback = Callable[[str, int, int], None]
"""Callback: what is being done, how much of it is done, and of how much."""

TEXT, CONTEXT, TARGET, OTHER = range(4)
"""Groups of ``Observation.parts``: the content of a position. From OTHER on there is one for each
modality beside text and images.
"""

VISION = "vision"
"""Modality of images."""

PLACES = 10
"""Number of equal parts of the longest document, by which text positions are grouped."""

FIELDS = 4
"""Most fields that an image is cut into in each direction."""


class Task(StrEnum):
    """The use that a document makes of its images."""

    UNDERSTANDING = "understanding"
    """Images are context and text follows: captions and questions."""
    GENERATION = "generation"
    """Text asks for one image, which is the target."""
    OTHER = "other"


@dataclass(frozen=True)
class Table:
    """Number of choices of each expert, by document and by group of positions."""

    groups: tuple[str, ...]
    count_DGQR: np.ndarray
    """Assignments, int32."""
    positions_DG: np.ndarray
    """Positions, int64; each makes K assignments in every block."""


@dataclass(frozen=True)
class Observation:
    """All counts that the atlas is computed from."""

    source_names: tuple[str, ...]
    held_out: int
    """Number of documents that the sources hold out, read or not."""
    source_D: np.ndarray
    """Source of each document, int64."""
    cluster_D: np.ndarray
    """Cluster of each document, int64: documents of one cluster share a map, or an image."""
    task_D: np.ndarray
    """:class:`Task` of each document."""
    parts: Table
    """By content of the position: text, a context image, a target at a drawn flow time, or an item
    of another modality.
    """
    noise: Table
    """Target images at the middle of each tenth of flow time, where 0 is noise."""
    document_places: Table
    """Text positions, by distance from the beginning of their document."""
    image_places: Table
    """Vision positions, by field of the image."""
    modalities: tuple[str, ...]
    """The X modalities: text, vision if there are images, and others."""
    pairs_XQRR: np.ndarray
    """Number of positions of each modality that chose both experts, int64."""
    choices: int
    """K, the number of experts that a position chooses."""
    passed_over: Mapping[str, str]
    """Source → what of it could not be used."""

    def positions(self, *parts: int) -> np.ndarray:
        """Returns the number of positions of these parts: int64 [D]."""
        return self.parts.positions_DG[:, parts].sum(axis=1)

    def counts(self, *parts: int) -> np.ndarray:
        """Returns the assignments of these parts: int64 [D, Q, R]."""
        return self.parts.count_DGQR[:, parts].sum(axis=1, dtype=np.int64)


def observe(
    pretrained: Pretrained,
    held_out: Mapping[str, Source],
    settings: AtlasSettings,
    progress: ProgressCallback,
) -> Observation:
    """Reads documents of every source and returns the counts of each router's choices."""
    documents: list[Document] = []
    sources, clusters = [], []
    log = ReadingLog(pretrained.tokenizers)
    for number, (name, source) in enumerate(held_out.items()):
        items = pick(source, settings.documents, log)
        documents += items.documents
        sources += [number] * len(items.documents)
        clusters += [
            _cluster(name, *each) for each in zip(items.documents, items.clusters, strict=True)
        ]
    counter = _Counter(pretrained, len(documents), settings.seed)
    for number, (begin, batch) in enumerate(batches(documents, pretrained)):
        progress("observing held-out documents", begin, len(documents))
        counter.read(number, begin, batch)
    progress("observing held-out documents", len(documents), len(documents))
    return Observation(
        source_names=tuple(held_out),
        held_out=sum(map(len, held_out.values())),
        source_D=np.array(sources, np.int64),
        cluster_D=np.unique(clusters, return_inverse=True)[1],
        task_D=np.array([task_of(document) for document in documents]),
        parts=counter.parts,
        noise=counter.noise,
        document_places=counter.document_places,
        image_places=counter.image_places,
        modalities=counter.streams.modalities,
        pairs_XQRR=counter.pairs_XQRR,
        choices=counter.choices,
        passed_over={name: str(found) for name, found in log.passed_over().items()},
    )


def task_of(document: Document) -> Task:
    """Returns what the document does with its images, judged by its form alone."""
    pictures = list(document.images)
    asked = asked_picture(document)
    if asked is not None and asked[1].target:
        return Task.GENERATION
    if not pictures or any(picture.target for picture in pictures):
        return Task.OTHER
    return Task.UNDERSTANDING if isinstance(document.spans[-1], Text) else Task.OTHER


def _cluster(name: str, document: Document, cluster: int) -> str:
    """Returns a cluster's name: sources share clusters of images, but not numbers of texts."""
    shared = next(iter(document.images), None) is not None
    return f"{'' if shared else name}:{cluster}"


class _Counter:
    """Counts the choices in one batch after the other."""

    def __init__(self, pretrained: Pretrained, num_documents: int, seed: int) -> None:
        mixtures = pretrained.decoder.mixtures()
        num_blocks, num_experts = len(mixtures), mixtures[0].num_routed
        self._pretrained, self._seed = pretrained, seed
        self._objective = Objective(ObjectiveSettings(**pretrained.flow.model_dump()))
        self.streams = pretrained.decoder.shapes
        self._others = [name for name in self.streams.modalities if name not in ("text", VISION)]
        grids = [shape.grid for shape in self.streams if shape.modality == VISION]
        self._fields = tuple(min(FIELDS, *sizes) for sizes in zip(*grids, strict=True)) or (1, 1)
        self.choices = pretrained.decoder.settings.moe.routed_choices

        def table(groups: Sequence[str]) -> Table:
            counts = np.zeros((num_documents, len(groups), num_blocks, num_experts), np.int32)
            return Table(tuple(groups), counts, np.zeros(counts.shape[:2], np.int64))

        rows, columns = self._fields
        self.parts = table(("text", "context", "target", *self._others))
        self.noise = table([f"{level:.2f}" for level in _levels()])
        self.document_places = table([f"{place / PLACES:.1f}" for place in range(PLACES)])
        self.image_places = table([f"{y},{x}" for y in range(rows) for x in range(columns)])
        of_modality = (len(self.streams.modalities), num_blocks, num_experts, num_experts)
        self.pairs_XQRR = np.zeros(of_modality, np.int64)

    @torch.inference_mode()
    def read(self, number: int, begin: int, batch: PackedBatch) -> None:
        """Counts the choices of the ``number``-th batch, whose first document is ``begin``."""
        seed = self._seed * SEED_STRIDE + number
        latents = self._pretrained.tokenizers.encode(batch.slots)
        noise = {name: draw_noise(batch, name, seed) for name in batch.slots}
        drawn = self._objective.flow_times(batch, seed)
        expert_QMK = self._choices(batch, latents, noise, drawn)
        document_M = batch.source_BT.flatten().cpu().numpy()
        self._count_parts(begin, batch, document_M, expert_QMK)
        self._count_pairs(batch, expert_QMK)
        targets = [batch.slots[shape.name].position_G for shape in self.streams if _is_seen(shape)]
        target_L = torch.cat([*targets, batch.document_BT.new_zeros(0)]).cpu().numpy()
        if not len(target_L):
            return
        for bin_, level in enumerate(_levels()):
            times = {
                name: torch.where(own.target_N, level, 1.0) for name, own in batch.slots.items()
            }
            expert_QMK = self._choices(batch, latents, noise, times)
            groups = np.full(len(target_L), bin_)
            _add(self.noise, begin, document_M[target_L], groups, expert_QMK[:, target_L])

    def _choices(
        self,
        batch: PackedBatch,
        latents: Mapping[str, Tensor],
        noise: Mapping[str, Tensor],
        times: Mapping[str, Tensor],
    ) -> np.ndarray:
        """Returns what every router chose for every position: int64 [Q, M, K]."""
        z_t = {
            name: mix(latents[name], noise[name], times[name][own.item_L])
            for name, own in batch.slots.items()
        }
        inputs = DecoderInput.from_batch(batch, z_t, times)
        passed = self._pretrained.decoder.forward_with_routing(
            inputs, IntervalMask.from_batch(batch)
        )
        return torch.stack([choice.expert_MK for choice in passed.choices]).cpu().numpy()

    def _count_parts(
        self, begin: int, batch: PackedBatch, document_M: np.ndarray, expert_QMK: np.ndarray
    ) -> None:
        def count(table: Table, chosen: np.ndarray, groups: np.ndarray) -> None:
            _add(table, begin, document_M[chosen], groups, expert_QMK[:, chosen])

        modality_M = batch.modality_BT.flatten().cpu().numpy()
        text_P = np.flatnonzero(modality_M == TEXT_MODALITY)
        position_P = batch.position_BT.flatten().cpu().numpy()[text_P]
        count(self.parts, text_P, np.full(len(text_P), TEXT))
        place_P = position_P * PLACES // self._pretrained.context_positions
        count(self.document_places, text_P, place_P)
        for shape in self.streams:
            slots = batch.slots[shape.name]
            position_L = slots.position_L.cpu().numpy()
            if not _is_seen(shape):
                part = OTHER + self._others.index(shape.modality)
                count(self.parts, position_L, np.full(len(position_L), part))
                continue
            target_L = slots.target_N[slots.item_L].cpu().numpy()
            count(self.parts, position_L, np.where(target_L, TARGET, CONTEXT))
            count(self.image_places, position_L, self._field(slots))

    def _field(self, slots: Slots) -> np.ndarray:
        """Returns the field of the image that each latent token lies in: int64 [L]."""
        grid_L2 = slots.grid_NA[slots.item_L].cpu().numpy()
        y_L, x_L = (slots.place_LA.cpu().numpy() * self._fields // grid_L2).T
        return y_L * self._fields[1] + x_L

    def _count_pairs(self, batch: PackedBatch, expert_QMK: np.ndarray) -> None:
        modality_M = batch.modality_BT.flatten().cpu().numpy()
        for row in range(len(self.pairs_XQRR)):
            for block, expert_MK in enumerate(expert_QMK):
                expert_PK = expert_MK[modality_M == TEXT_MODALITY + row]
                # Indicators as a matrix: CᵀC counts all pairs of a block in one product, exact in
                # float32 as long as a batch has fewer than 2²⁴ positions.
                chosen_PR = np.zeros((len(expert_PK), self.pairs_XQRR.shape[-1]), np.float32)
                np.put_along_axis(chosen_PR, expert_PK, 1, axis=1)
                self.pairs_XQRR[row, block] += (chosen_PR.T @ chosen_PR).astype(np.int64)


def _is_seen(shape: StreamShape) -> bool:
    """Returns whether a stream is of images."""
    return shape.modality == VISION


def _levels() -> list[float]:
    """Returns the middle of each tenth of flow time."""
    return [(bin_ + 0.5) / NOISE_BINS for bin_ in range(NOISE_BINS)]


def _add(
    table: Table, begin: int, document_P: np.ndarray, group_P: np.ndarray, expert_QPK: np.ndarray
) -> None:
    """Adds the choices of P positions to a table; documents are counted from ``begin``."""
    _, num_groups, num_blocks, num_experts = table.count_DGQR.shape
    own = slice(begin, begin + DOCUMENTS_PER_BATCH)
    num_cells = table.positions_DG[own].size
    cell_P = document_P * num_groups + group_P
    # Flat indices (document, group, expert) count all documents and groups in one call.
    positions = np.bincount(cell_P, minlength=num_cells)
    table.positions_DG[own] += positions.reshape(-1, num_groups)
    for block in range(num_blocks):
        flat = (cell_P[:, None] * num_experts + expert_QPK[block]).ravel()
        counts = np.bincount(flat, minlength=num_cells * num_experts)
        table.count_DGQR[own, :, block] += counts.reshape(-1, num_groups, num_experts)
