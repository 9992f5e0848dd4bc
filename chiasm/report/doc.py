"""The elements of a report: facts, and sections of tables, figures, samples, prose and commands.

Pages are built from these classes; html.py, markdown.py, terminal.py and record.py each render all
of them. An empty element is false, and is left out everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:  # what draws no samples need not load what measures them
    from chiasm.evaluation.evaluation import Sample


Words: TypeAlias = "str | Mark | tuple[Words, ...]"
"""Text with marked parts; a line break begins a new line."""


@dataclass(frozen=True)
class Mark:
    """Text in another form."""

    words: Words
    form: Literal["strong", "small", "code", "chip", "link"]
    of: str = ""
    """A chip's verdict, which colours it, or the anchor that a link leads to."""


class Block:
    """A part of a section; it is empty if its first field is."""

    def __bool__(self) -> bool:
        return bool(next(iter(vars(self).values())))


@dataclass(frozen=True)
class Prose(Block):
    """A paragraph."""

    words: Words


@dataclass(frozen=True)
class Terms(Block):
    """Terms with their descriptions."""

    entries: Mapping[str, Words]


@dataclass(frozen=True)
class Cell:
    """A table cell that spans several columns or rows."""

    words: Words
    columns: int = 1
    rows: int = 1
    is_heading: bool = False
    """Whether it is the heading of the rows below."""


Row: TypeAlias = "Sequence[Words | Cell]"


@dataclass(frozen=True)
class Table(Block):
    """Rows under column titles."""

    rows: Sequence[Row]
    columns: Sequence[str]
    unbroken: Collection[int] = ()
    """Columns whose cells stay on one line, such as those of numbers."""
    widths: Sequence[str] = ()
    """Widths of the first columns, as shares of the page; empty: as wide as needed."""


@dataclass(frozen=True)
class Figure(Block):
    """A drawing."""

    svg: str
    """The drawing as SVG; where only Markdown shows it, the name of its file."""
    title: str = ""


@dataclass(frozen=True)
class Samples(Block):
    """A model's outputs for held-out items."""

    samples: Sequence[Sample]


@dataclass(frozen=True)
class Card:
    """One headline number."""

    name: str
    value: str
    beside: str
    """Unit and standard error."""
    versus: str
    chip: Mark


@dataclass(frozen=True)
class Cards(Block):
    """The headline numbers."""

    cards: Sequence[Card]


@dataclass(frozen=True)
class Commands(Block):
    """Commands, or the content of a file, shown verbatim."""

    text: str
    title: str = ""
    """Title under which the text is folded away; empty: shown."""


@dataclass(frozen=True)
class Section(Block):
    """Blocks and subsections under a heading."""

    heading: Words
    blocks: Sequence[Block]
    lead: Words = ""
    """Introduction; a section with a lead alone is empty."""
    anchor: str = ""
    """Target of links."""

    def __bool__(self) -> bool:
        return any(self.blocks)


@dataclass(frozen=True)
class Report:
    """A whole report."""

    title: str
    sections: Sequence[Section]
    subject: str = ""
    """Text beside the name at the top of the page."""
    intro: Sequence[Words] = ()
    """Paragraphs above the facts."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Short facts for the head of the page."""
    footer: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)
    """All numbers, for programs."""


def plain(words: Words) -> str:
    """Returns the text without marks."""
    if isinstance(words, str):
        return words
    return plain(words.words) if isinstance(words, Mark) else "".join(map(plain, words))


def lines(block: Block) -> list[Words]:
    """Returns terms, samples or cards as lines of text, for renderers without another form."""
    match block:
        case Terms():
            return [(f"{term}: ", words) for term, words in block.entries.items()]
        case Samples():
            told = (line for sample in block.samples for line in sample.lines)
            return [f"{label}: {text}" if label else text for label, text in told]
        case Cards():
            cards = block.cards
            values = (f"{card.value} {card.beside}".strip() for card in cards)
            return [
                (f"{card.name}: {value}, {card.versus}; ", card.chip)
                for card, value in zip(cards, values, strict=True)
            ]
        case _:
            return []
