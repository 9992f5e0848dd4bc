"""A naive packer: the reference that model and objective are tested on; a small world model.

A document is a list of spans; a span is a list of token numbers, or a :class:`Picture`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from chiasm.batch.packed import NO_LABEL, NOBODY, ImageSlots, Modality, PackedBatch
from chiasm.data.tokenizer import TextTokenizer
from chiasm.flow import FlowSettings
from chiasm.inference.pretrained import Pretrained
from chiasm.model import Decoder, ModelSettings
from chiasm.vision.pixels import PixelTokenizer

PAD, BOD, EOD, BOI, EOI, IMAGE, FIRST_TEXT = range(7)
VOCABULARY = 40


@dataclass(frozen=True)
class Picture:
    rows: int = 2
    columns: int = 3
    target: bool = True
    dropped: bool = False


Spans = list["list[int] | Picture"]


@dataclass
class _Row:
    """One row being written, field by field."""

    ids: list[int] = field(default_factory=list)
    label: list[int] = field(default_factory=list)
    modality: list[int] = field(default_factory=list)
    position: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    document: list[int] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    pictures: list[tuple[int, Picture, int]] = field(default_factory=list)

    def put(self, token: int, modality: Modality, document: int, source: int, first: int) -> None:
        here = len(self.ids)
        self.ids.append(token)
        self.label.append(NO_LABEL)
        self.modality.append(modality)
        begin = self.document.index(document) if document in self.document else here
        self.position.append(here - begin)
        self.first.append(begin if first < 0 else first)
        self.last.append(here)
        self.document.append(document)
        self.source.append(source)

    def add(self, spans: Spans, document: int, source: int) -> None:
        def text(token: int, first: int = -1) -> None:
            self.put(token, Modality.TEXT, document, source, first)

        begin = len(self.ids)
        text(BOD)
        for span in spans:
            if not isinstance(span, Picture):
                for token in span:
                    text(token)
                continue
            first = len(self.ids) if span.dropped else -1
            text(BOI, first)
            start, num_tokens = len(self.ids), span.rows * span.columns
            for _ in range(num_tokens):
                self.put(IMAGE, Modality.VISION, document, source, first)
                self.last[-1] = start + num_tokens - 1
            self.pictures.append((start, span, source))
            text(EOI)
        text(EOD)
        for here in range(begin, len(self.ids) - 1):
            both = self.modality[here] == self.modality[here + 1] == Modality.TEXT
            if both and self.ids[here] != BOI and self.ids[here + 1] != EOI:
                self.label[here] = self.ids[here + 1]

    def fill(self, num_positions: int) -> None:
        assert len(self.ids) <= num_positions, "the test's documents do not fit its row"
        while len(self.ids) < num_positions:
            here = len(self.ids)
            self.put(PAD, Modality.PADDING, NOBODY, NOBODY, here)
            self.position[-1] = 0


def pack(
    rows: Sequence[Sequence[Spans]],
    num_positions: int,
    *,
    source_of: Callable[[int, int], int] = lambda row, document: document % 2,
    numbers: Sequence[int] | None = None,
) -> PackedBatch:
    """Lay documents into rows exactly as told; ``numbers`` are the rows' numbers in lane 0."""
    written = []
    for number, documents in enumerate(rows):
        row = _Row()
        for document, spans in enumerate(documents):
            row.add(spans, document, source_of(number, document))
        row.fill(num_positions)
        written.append(row)
    slots = [(b, *slot) for b, row in enumerate(written) for slot in row.pictures]

    def table(name: str) -> torch.Tensor:
        return torch.tensor([getattr(row, name) for row in written], dtype=torch.int64)

    def column(values: list) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.int64)

    images = ImageSlots(
        row_N=column([b for b, *_ in slots]),
        start_N=column([start for _, start, *_ in slots]),
        grid_N2=column([(p.rows, p.columns) for *_, p, _ in slots]).reshape(-1, 2),
        target_N=column([p.target for *_, p, _ in slots]).bool(),
        dropped_N=column([p.dropped for *_, p, _ in slots]).bool(),
        source_N=column([source for *_, source in slots]),
        pixels=tuple(torch.zeros(3, 2, 2, dtype=torch.uint8) for _ in slots),
    )
    batch = PackedBatch(
        ids_BT=table("ids"),
        label_BT=table("label"),
        modality_BT=table("modality"),
        position_BT=table("position"),
        first_BT=table("first"),
        last_BT=table("last"),
        document_BT=table("document"),
        source_BT=table("source"),
        images=images,
        lane_B=torch.zeros(len(rows), dtype=torch.int64),
        number_B=column(list(numbers) if numbers is not None else list(range(len(rows)))),
        source_names=("even", "odd"),
    )
    batch.validate()
    return batch


def random_document(random: np.random.Generator, max_spans: int = 4) -> Spans:
    """Spans of text (possibly empty) and pictures of several grids, roles and conditions."""
    spans: Spans = []
    for _ in range(int(random.integers(1, max_spans + 1))):
        if random.random() < 0.5:
            spans.append(random.integers(FIRST_TEXT, VOCABULARY, random.integers(0, 9)).tolist())
        else:
            rows, columns = random.integers(1, 4, 2).tolist()
            target = bool(random.random() < 0.7)
            dropped = bool(target and random.random() < 0.3)
            spans.append(Picture(rows, columns, target=target, dropped=dropped))
    return spans


def length(spans: Spans) -> int:
    """Positions that a document takes."""
    return 2 + sum(
        span.rows * span.columns + 2 if isinstance(span, Picture) else len(span) for span in spans
    )


def random_rows(random: np.random.Generator, num_rows: int, num_positions: int) -> list:
    """Rows of random documents, each filled until one does not fit."""
    rows = []
    for _ in range(num_rows):
        row, used = [], 0
        while used + length(spans := random_document(random)) <= num_positions:
            row.append(spans)
            used += length(spans)
        rows.append(row)
    return rows


@dataclass(frozen=True)
class NaivePacking:
    """The functions above, handed to tests by the fixture ``naive``."""

    pack = staticmethod(pack)
    random_document = staticmethod(random_document)
    random_rows = staticmethod(random_rows)
    Picture = Picture
    vocabulary = VOCABULARY

    @staticmethod
    def random_batch(seed: int, num_rows: int = 3, num_positions: int = 64) -> PackedBatch:
        random = np.random.default_rng(seed)
        return pack(random_rows(random, num_rows, num_positions), num_positions)


@pytest.fixture(scope="session")
def naive() -> NaivePacking:
    return NaivePacking()


@pytest.fixture(scope="session")
def world_model() -> Pretrained:
    """Random weights; the next view depends on all that is shown, at most 400 positions.

    Pictures of 8 x 8 pixels are 2 x 2 latent tokens.
    """
    text = TextTokenizer.train(["action: dx=+1.00 dy=-0.25 dyaw=+20", "view"], 300)
    vision = PixelTokenizer(image_pixels=8, patch_pixels=4)
    settings = ModelSettings(width=32, depth=2, query_heads=4, key_value_heads=2)
    decoder = Decoder(
        settings, vocabulary=text.vocabulary_size, latent_channels=vision.channels, seed=0
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.15 * torch.randn(parameter.shape, generator=generator))
    flow = FlowSettings(prediction="x", shift=2.0)
    decoder = decoder.eval().requires_grad_(False)
    return Pretrained(decoder, text, vision, flow, 400)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """The networks of the tests are small; the number is given, so that nothing measures it."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)
