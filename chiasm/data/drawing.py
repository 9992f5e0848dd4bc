"""A packed row for inspection: its spans as a table; its pictures, sources and mask as a PNG.

Shape suffixes: T positions of the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from rich.table import Table
from torch import Tensor

from chiasm.batch.packed import NOBODY, PackedBatch
from chiasm.batch.streams import TEXT
from chiasm.data.tokenizer import TextTokenizer

_SNIPPET_CHARACTERS = 72
_ROLE_COLOURS = {
    "text": "#4c72b0",
    "target": "#dd8452",
    "target, condition dropped": "#c44e52",
    "context": "#55a868",
    "padding": "#dddddd",
}
_SOURCE_COLOURS = ("#8172b3", "#64b5cd", "#ccb974", "#da8bc3", "#937860", "#8c8c8c")

Item = tuple[str, int]
"""Stream of an item, and its slot in the batch."""


@dataclass(frozen=True)
class RowSpan:
    """A run of positions [begin, end) of one document with one role."""

    begin: int
    end: int
    document: int
    """Number of the document in the row, NOBODY at padding."""
    source: str
    role: str
    """text, target, "target, condition dropped", context or padding."""
    text: str
    """Decoded text; empty for items and padding."""
    item: Item | None
    """Stream and slot of the span's item; None for text and padding."""


def row_spans(batch: PackedBatch, row: int, tokenizer: TextTokenizer) -> list[RowSpan]:
    """Returns the spans of one row from left to right; an item's span includes both its marks."""
    item_T = _items(batch, row)
    document_T = batch.document_BT[row].tolist()
    spans = []
    runs = groupby(range(batch.num_positions), key=lambda at: (document_T[at], item_T[at]))
    for (document, item), run in runs:
        positions = list(run)
        source = int(batch.source_BT[row, positions[0]])
        is_text = item is None and document != NOBODY
        ids = batch.ids_BT[row, positions].tolist()
        spans.append(
            RowSpan(
                begin=positions[0],
                end=positions[-1] + 1,
                document=document,
                source="" if source == NOBODY else batch.source_names[source],
                role=_role(batch, document, item),
                text=tokenizer.decode(ids) if is_text else "",
                item=item,
            )
        )
    return spans


def row_table(batch: PackedBatch, row: int, tokenizer: TextTokenizer) -> Table:
    """Returns one row as a table for the terminal: a line per span, a rule between documents."""
    title = f"lane {int(batch.lane_B[row])}, row {int(batch.number_B[row])}"
    table = Table(title=f"{title}: {batch.num_positions} positions")
    for name in ("positions", "source", "role"):
        table.add_column(name, no_wrap=True)
    table.add_column("text")
    spans = row_spans(batch, row, tokenizer)
    for span, following in zip(spans, [*spans[1:], None], strict=True):
        ends = following is None or following.document != span.document
        snippet = _marked(batch, row, span, ends=ends)
        if len(snippet) > _SNIPPET_CHARACTERS:
            half = _SNIPPET_CHARACTERS // 2
            snippet = f"{snippet[:half]} … {snippet[-half:]}"
        place = f"{span.begin}–{span.end - 1}"
        role = span.role if span.item is None else f"{span.item[0]} {span.role}"
        # Escaped: rich takes brackets for markup, and captions may have some.
        table.add_row(place, span.source, role, snippet.replace("[", r"\["), end_section=ends)
    return table


def draw_row(batch: PackedBatch, row: int, tokenizer: TextTokenizer, path: Path) -> None:
    """Writes a PNG of one row: pictures, sources and roles above the attention mask."""
    spans = row_spans(batch, row, tokenizer)
    figure = Figure(figsize=(11, 12), layout="constrained")
    FigureCanvasAgg(figure)
    ratios = {"height_ratios": [1.1, 0.5, 10]}
    pictures, strips, mask = figure.subplots(3, 1, sharex=True, gridspec_kw=ratios)
    figure.suptitle(f"lane {int(batch.lane_B[row])}, row {int(batch.number_B[row])}")
    _draw_pictures(pictures, batch, spans)
    _draw_strips(strips, batch, spans)
    _draw_mask(mask, batch, row, spans)
    present = {span.role for span in spans}
    sources = dict.fromkeys(span.source for span in spans if span.source)
    figure.legend(
        handles=[
            *(Patch(color=c, label=role) for role, c in _ROLE_COLOURS.items() if role in present),
            *(Patch(color=_source_colour(batch, n), label=f"source: {n}") for n in sources),
        ],
        loc="outside lower center",
        ncols=4,
        frameon=False,
    )
    figure.savefig(path, dpi=110)


def _marked(batch: PackedBatch, row: int, span: RowSpan, *, ends: bool) -> str:
    """Returns the text with visible line ends and the document's two special tokens.

    Of an item it is the grid, where each has its own.
    """
    if span.item is not None and batch.streams[span.item[0]].varies:
        name, number = span.item
        return " × ".join(map(str, batch.slots[name].grid_NA[number].tolist()))
    if span.role != "text":
        return ""
    begin = "<bod>" if batch.position_BT[row, span.begin] == 0 else ""
    return begin + span.text.replace("\n", "⏎") + ("<eod>" if ends else "")


def _items(batch: PackedBatch, row: int) -> list[Item | None]:
    """Returns the item at each of T positions, its marks included; None elsewhere."""
    item_T: list[Item | None] = [None] * batch.num_positions
    for name, slots in batch.slots.items():
        for number in (slots.row_N == row).nonzero().flatten().tolist():
            begin, positions = int(slots.start_N[number]) - 1, int(slots.tokens_N[number]) + 2
            item_T[begin : begin + positions] = [(name, number)] * positions
    return item_T


def _role(batch: PackedBatch, document: int, item: Item | None) -> str:
    if document == NOBODY:
        return "padding"
    if item is None:
        return "text"
    name, number = item
    if not batch.slots[name].target_N[number]:
        return "context"
    return "target, condition dropped" if batch.slots[name].dropped_N[number] else "target"


def _source_colour(batch: PackedBatch, name: str) -> str:
    return _SOURCE_COLOURS[batch.source_names.index(name) % len(_SOURCE_COLOURS)]


def _draw_pictures(axes: Axes, batch: PackedBatch, spans: list[RowSpan]) -> None:
    axes.axis("off")
    num_positions = batch.num_positions
    shown = [span for span in spans if span.item is not None]
    width = num_positions / max(12, len(shown))
    for number, span in enumerate(shown):
        assert span.item is not None
        middle = (number + 0.5) * num_positions / len(shown)
        # Inset axes keep the picture's aspect ratio, whatever that of its place.
        place = axes.inset_axes(
            (middle - width / 2, 0.3, width, 0.7), transform=axes.transData, anchor="S"
        )
        name, slot = span.item
        draw_item(place, batch.slots[name].items[slot])
        axes.plot([middle, (span.begin + span.end) / 2], [0.3, 0], color="#888888", lw=0.6)
    axes.set_xlim(-0.5, num_positions - 0.5)
    axes.set_ylim(0, 1)


def draw_item(axes: Axes, item: Tensor) -> None:
    """Draws an image, or any other item as curves over its longer axis, a line per channel."""
    if item.ndim == 3 and len(item) in (1, 3):
        axes.imshow(item.permute(1, 2, 0).squeeze(-1).numpy())
        axes.axis("off")
        return
    lines = item.reshape(-1, item.shape[-1])  # [time, channels], or the other way round
    axes.plot((lines if len(lines) >= lines.shape[1] else lines.mT).numpy(), lw=0.8)
    axes.set_xticks([])
    axes.tick_params(labelsize=5)


def _draw_strips(axes: Axes, batch: PackedBatch, spans: list[RowSpan]) -> None:
    for span in spans:
        begin, width = span.begin - 0.5, span.end - span.begin
        if span.source:
            colour = _source_colour(batch, span.source)
            axes.add_patch(Rectangle((begin, 1), width, 1, color=colour, lw=0))
        axes.add_patch(Rectangle((begin, 0), width, 0.9, color=_ROLE_COLOURS[span.role], lw=0))
    axes.set_ylim(0, 2)
    axes.set_yticks([0.5, 1.5], ["role", "source"])
    axes.tick_params(bottom=False, left=False)
    axes.spines[:].set_visible(False)


def _draw_mask(axes: Axes, batch: PackedBatch, row: int, spans: list[RowSpan]) -> None:
    first_T, last_T = batch.first_BT[row].numpy(), batch.last_BT[row].numpy()
    key_T = np.arange(batch.num_positions)
    sees_TT = (first_T[:, None] <= key_T) & (key_T <= last_T[:, None])
    roles = list(_ROLE_COLOURS)
    role_T = np.concatenate(
        [np.full(span.end - span.begin, 1 + roles.index(span.role)) for span in spans]
    )
    role_T[batch.modality_BT[row].numpy() == TEXT] = 1 + roles.index("text")
    colours = ListedColormap(["#ffffff", *_ROLE_COLOURS.values()])
    shown_TT = np.where(sees_TT, role_T[:, None], 0)
    axes.imshow(
        shown_TT, cmap=colours, vmin=0, vmax=len(roles), interpolation="nearest", aspect="auto"
    )
    for span in spans:
        if span.begin and batch.position_BT[row, span.begin] == 0:
            axes.axhline(span.begin - 0.5, color="#aaaaaa", lw=0.5)
            axes.axvline(span.begin - 0.5, color="#aaaaaa", lw=0.5)
    axes.set_xlabel("key position")
    axes.set_ylabel("query position, coloured by its role where it sees the key")
