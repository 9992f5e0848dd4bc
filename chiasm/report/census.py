"""The page of a recipe's data: what its sources hold, with documents to see and to hear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from chiasm.data.census import Census
from chiasm.data.source import SourceFacts
from chiasm.documents import Continuous, Document, Image, Sound
from chiasm.evaluation.evaluation import Panel, Sample, SoundPanel
from chiasm.report import doc
from chiasm.report.pictures import LARGE_PIXELS
from chiasm.rgb import fitted

INTRO = (
    "What the sources of a recipe hold, as a run reads them: positions are those of the recipe's "
    "tokenizers, and every picture and sound of a document that was read has been decoded."
)
_MOST_PANELS, _MOST_CHARACTERS = 4, 400
_SECONDS = 3.0
"""Of a sound, at most: about 60 kB of a page."""


@dataclass(frozen=True)
class Counted:
    """One side of a source."""

    source: str
    side: str
    of: int
    """Documents of the side; fewer may have been read."""
    census: Census
    examples: Sequence[Document]


def census_report(
    name: str, counted: Sequence[Counted], facts: Mapping[str, SourceFacts]
) -> doc.Report:
    """Returns the page of a recipe's data."""
    sections = [doc.Section("All sources", [_table(counted)])]
    for source in dict.fromkeys(each.source for each in counted):
        own = [each for each in counted if each.source == source]
        sections.append(_section(source, own, facts[source]))
    return doc.Report(
        title=f"Data of {name}",
        subject=f"data of {name}",
        intro=[INTRO],
        sections=sections,
        facts={
            "sources": str(len(facts)),
            "documents": f"{sum(each.documents for each in facts.values()):,}",
            "held out": f"{sum(each.held_out for each in facts.values()):,}",
        },
        record={
            "sources": {source: asdict(own) for source, own in facts.items()},
            "read": {
                f"{each.side} {each.source}": {"of": each.of, **each.census.to_json()}
                for each in counted
            },
        },
    )


def _table(counted: Sequence[Counted]) -> doc.Table:
    streams = dict.fromkeys(name for each in counted for name in each.census.positions)
    rows = [
        [
            f"{each.source}, {each.side}",
            _of(each.census.documents, each.of),
            f"{sum(each.census.rejects.values()):,}",
            f"{each.census.text_bytes:,}",
            f"{len(each.census.sizes_I2):,}",
            *(f"{each.census.positions.get(name, 0):,}" for name in streams),
        ]
        for each in counted
    ]
    columns = ["", "documents read", "unusable", "bytes of text", "pictures"]
    columns += [f"positions of {name}" for name in streams]
    return doc.Table(rows, columns, unbroken=range(len(columns)))


def _section(source: str, counted: Sequence[Counted], facts: SourceFacts) -> doc.Section:
    blocks: list[doc.Block] = [_opened(facts)]
    for each in counted:
        samples = [sample for document in each.examples if (sample := _sample(source, document))]
        blocks.append(
            doc.Section(each.side, [_unusable(each), _sizes(each.census), doc.Samples(samples)])
        )
    return doc.Section(source, blocks, anchor=source)


def _opened(facts: SourceFacts) -> doc.Terms:
    entries: dict[str, doc.Words] = {"kind": facts.kind, "rows": f"{facts.rows:,}"}
    entries |= {f"rows skipped: {why}": f"{count:,}" for why, count in facts.skipped.items()}
    if facts.unusable:
        entries["the first of them"] = "\n".join(facts.unusable)
    if facts.files:
        more = f" and {len(facts.files) - 3:,} more" if len(facts.files) > 3 else ""
        entries["files"] = ", ".join(facts.files[:3]) + more
    entries |= {"columns": ", ".join(filter(None, (*facts.files_columns.values(), facts.column)))}
    entries |= {"on both sides, not trained on": f"{facts.repeated:,}"} if facts.repeated else {}
    entries |= {"notes": "\n".join(facts.notes)} if facts.notes else {}
    return doc.Terms({name: words for name, words in entries.items() if words})


def _unusable(counted: Counted) -> doc.Table:
    """Returns documents that cannot be used by reason, then the first of them in full."""
    rows: list[doc.Row] = [[why, f"{n:,}"] for why, n in counted.census.rejects.items()]
    rows += [[doc.Cell(told, columns=2)] for told in counted.census.told]
    return doc.Table(rows, ["cannot be used", "documents"])


def _sizes(census: Census) -> doc.Table:
    rows = [
        [name, f"{short:,}", f"{long:,}", f"{megapixels:g}"]
        for name, (short, long, megapixels) in census.shown_sizes().items()
    ]
    return doc.Table(rows, ["pictures", "shorter side", "longer side", "megapixels"])


def _sample(source: str, document: Document) -> Sample:
    items = [*document.items]
    panels = (panel for item in items[:_MOST_PANELS] if (panel := _panel(item)))
    text = document.text[:_MOST_CHARACTERS]
    text += "..." if len(text) < len(document.text) else ""
    left = Counter(item.stream for item in items[_MOST_PANELS:])
    more = [f"{count} more of {stream}" for stream, count in left.items()]
    lines = (text, *([f"and {', '.join(more)}"] if more else ()))
    return Sample(source, tuple(("", line) for line in lines), tuple(panels))


def _panel(item: Continuous) -> Panel | SoundPanel | None:
    """Returns a picture or a sound, small enough for a page; None of any other item."""
    if isinstance(item, Image):
        return Panel("drawn" if item.target else "seen", _small(item.pixels()))
    if isinstance(item, Sound):
        return SoundPanel.of("made" if item.target else "heard", item).beginning(_SECONDS)
    return None


def _small(pixels: np.ndarray) -> np.ndarray:
    """Returns a picture in its own proportions, small enough for a page."""
    height, width = pixels.shape[:2]
    scale = LARGE_PIXELS / max(height, width)
    if scale >= 1:
        return pixels
    return fitted(pixels, max(1, round(height * scale)), max(1, round(width * scale)))


def _of(read: int, total: int) -> str:
    return f"{read:,}" if read == total else f"{read:,} of {total:,}"
