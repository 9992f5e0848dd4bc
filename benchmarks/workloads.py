"""What the training benchmarks train on: the same text and latent positions, here and in the peer.

``equal_rows``: documents of one length, so that nobody pads; the peer gets each row as one sample.
``documents``: a step's documents as the quickstart's stream has them, from 20 to 256 positions;
here they are packed into rows, the peer gets each as one sample of a batch and pads them to the
longest, as its own loader does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from chiasm.assembly import build_inputs, build_stream, open_material
from chiasm.batch.packed import NO_LABEL, PackedBatch
from chiasm.batch.slots import Slots
from chiasm.batch.streams import IMAGE, Streams, StreamShape
from chiasm.batch.streams import TEXT as TEXT_MODALITY
from chiasm.recipe import Recipe

ROWS, DOCUMENTS, TEXT, GRID, VOCABULARY = 4, 4, 22, 4, 2048
"""Rows; documents in a row; tokens before and after each picture; its grid; token numbers."""


@dataclass(frozen=True)
class Workload:
    """One batch and what the peer reads instead of it."""

    name: str
    batch: PackedBatch
    samples: list[list[Tensor]]
    """For the peer: text [tokens] and latents [rows, columns, C], in the order of each sample."""
    equal: bool
    """The peer's samples are rows as long as the batch's; otherwise they are documents."""

    @property
    def latent_positions(self) -> int:
        """Positions that hold a latent."""
        return sum(len(own.item_L) for own in self.batch.slots.values())

    @property
    def text_positions(self) -> int:
        """Positions that hold a token, marks of documents and images included."""
        return self.elements - self.latent_positions

    @property
    def elements(self) -> int:
        """Positions that are not padding."""
        return self.batch.num_filled


def _equal_rows(seed: int, channels: int) -> PackedBatch:
    """Rows of documents <bod> text <boi> picture <eoi> text <eod>, all of one length."""
    latents = GRID * GRID
    kinds = [1] * (2 + TEXT) + [2] * latents + [1] * (2 + TEXT)
    length = len(kinds)
    shape = (ROWS, DOCUMENTS * length)
    generator = torch.Generator().manual_seed(seed)
    ids_BT = torch.randint(6, VOCABULARY, shape, generator=generator)
    position_BT = torch.arange(length).repeat(DOCUMENTS).expand(shape).contiguous()
    modality_BT = torch.tensor(kinds).repeat(DOCUMENTS).expand(shape).contiguous()
    here_BT = torch.arange(shape[1]).expand(shape)
    first_BT = here_BT - position_BT
    vision_BT = modality_BT > TEXT_MODALITY
    last_BT = torch.where(vision_BT, first_BT + 1 + TEXT + latents, here_BT)
    boi, eod = position_BT == 1 + TEXT, position_BT == length - 1
    unlabelled = vision_BT | boi | eod
    label_BT = torch.where(unlabelled, NO_LABEL, ids_BT.roll(-1, dims=1))
    num_images = ROWS * DOCUMENTS
    start_D = torch.arange(DOCUMENTS) * length + TEXT + 2
    images = Slots(
        row_N=torch.arange(ROWS).repeat_interleave(DOCUMENTS),
        start_N=start_D.repeat(ROWS),
        grid_NA=torch.full((num_images, 2), GRID),
        target_N=torch.ones(num_images, dtype=torch.bool),
        dropped_N=torch.zeros(num_images, dtype=torch.bool),
        source_N=torch.zeros(num_images, dtype=torch.int64),
        sequence_length=shape[1],
        items=(torch.zeros(3, 1, 1, dtype=torch.uint8),) * num_images,
    )
    batch = PackedBatch(
        ids_BT=ids_BT,
        label_BT=label_BT,
        modality_BT=modality_BT,
        position_BT=position_BT,
        first_BT=first_BT,
        last_BT=last_BT,
        document_BT=here_BT // length,
        source_BT=torch.zeros(shape, dtype=torch.int64),
        slots={IMAGE: images},
        streams=Streams((StreamShape(IMAGE, "vision", (GRID, GRID), channels),)),
        lane_B=torch.zeros(ROWS, dtype=torch.int64),
        number_B=torch.arange(ROWS),
        source_names=("benchmark",),
    )
    batch.validate()
    return batch


def equal_rows(seed: int, channels: int) -> Workload:
    """Four rows of four documents each; the peer sees the rows."""
    batch = _equal_rows(seed, channels)
    generator = torch.Generator().manual_seed(seed)

    def spans() -> Iterator[Tensor]:
        for _ in range(DOCUMENTS):
            yield torch.randint(0, VOCABULARY, (TEXT,), generator=generator)
            yield torch.randn(GRID, GRID, channels, generator=generator)
            yield torch.randint(0, VOCABULARY, (TEXT,), generator=generator)

    return Workload("equal rows", batch, [list(spans()) for _ in range(ROWS)], equal=True)


def stream_documents(recipe: Recipe, seed: int, channels: int) -> Workload:
    """One step of the recipe's stream; the peer sees its documents."""
    material = open_material(recipe)
    inputs = build_inputs(recipe, material.train)
    stream = build_stream(recipe, material.train, inputs, seed)
    batch = next(stream)
    stream.close()
    generator = torch.Generator().manual_seed(seed)
    return Workload("documents", batch, list(_documents(batch, channels, generator)), equal=False)


def _documents(
    batch: PackedBatch, channels: int, generator: torch.Generator
) -> Iterator[list[Tensor]]:
    grids = iter(batch.slots[IMAGE].grid_NA.tolist())
    for row in range(batch.num_rows):
        for number in range(int(batch.document_BT[row].max()) + 1):
            inside_T = batch.document_BT[row] == number
            kinds, lengths = batch.modality_BT[row, inside_T].unique_consecutive(return_counts=True)
            runs = batch.ids_BT[row, inside_T].split(lengths.tolist())
            spans = [
                # A run of text begins and ends with a mark of ours; the peer sets its own.
                ids[1:-1]
                if kind == TEXT_MODALITY
                else torch.randn(*next(grids), channels, generator=generator)
                for kind, ids in zip(kinds.tolist(), runs, strict=True)
            ]
            yield [span for span in spans if len(span)]
