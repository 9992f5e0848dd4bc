"""What a report is: facts, and sections of tables, figures, samples, prose and commands.

A page says what is in it with these classes; html.py, markdown.py, terminal.py and record.py each
render all of them. What is empty is false, and is left out everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:  # what draws no samples need not load what measures them
    from chiasm.evaluation.evaluation import Sample


Words: TypeAlias = "str | Mark | tuple[Words, ...]"
"""Text in which parts stand out; a line break begins a new line."""


@dataclass(frozen=True)
class Mark:
    """Words that stand out."""

    words: Words
    form: Literal["strong", "small", "code", "chip", "link"]
    of: str = ""
    """A chip's verdict, which colours it; the anchor that a link leads to."""


class Block:
    """A part of a section, which is empty when its first field is."""

    def __bool__(self) -> bool:
        return bool(next(iter(vars(self).values())))


@dataclass(frozen=True)
class Prose(Block):
    """A paragraph."""

    words: Words


@dataclass(frozen=True)
class Terms(Block):
    """Terms, each with what is to be said of it."""

    entries: Mapping[str, Words]


@dataclass(frozen=True)
class Cell:
    """A cell of a table that takes the place of several."""

    words: Words
    columns: int = 1
    rows: int = 1
    is_heading: bool = False
    """Of the rows below."""


Row: TypeAlias = "Sequence[Words | Cell]"


@dataclass(frozen=True)
class Table(Block):
    """Rows under the names of their columns."""

    rows: Sequence[Row]
    columns: Sequence[str]
    unbroken: Collection[int] = ()
    """Columns whose cells stay on one line, such as those of numbers."""
    widths: Sequence[str] = ()
    """Of the first columns, as shares of the page; without them columns are as wide as needed."""


@dataclass(frozen=True)
class Figure(Block):
    """A drawing."""

    svg: str
    """Or, where Markdown alone shows it, the name of its file."""
    title: str = ""


@dataclass(frozen=True)
class Samples(Block):
    """What a model made of held-out items."""

    samples: Sequence[Sample]


@dataclass(frozen=True)
class Card:
    """One number that everybody should see."""

    name: str
    value: str
    beside: str
    """Unit and standard error."""
    versus: str
    chip: Mark


@dataclass(frozen=True)
class Cards(Block):
    """The numbers that everybody should see."""

    cards: Sequence[Card]


@dataclass(frozen=True)
class Commands(Block):
    """What is typed, or what stands in a file, as it is."""

    text: str
    title: str = ""
    """Folded away under it; empty: shown."""


@dataclass(frozen=True)
class Section(Block):
    """Blocks, and smaller sections, under a heading."""

    heading: Words
    blocks: Sequence[Block]
    lead: Words = ""
    """What the reader should know before; alone it makes no section."""
    anchor: str = ""
    """Where links lead."""

    def __bool__(self) -> bool:
        return any(self.blocks)


@dataclass(frozen=True)
class Report:
    """A whole report."""

    title: str
    sections: Sequence[Section]
    subject: str = ""
    """What stands beside the name at the top of the page."""
    intro: Sequence[Words] = ()
    """Paragraphs above the facts."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Short, for the head of the page."""
    footer: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)
    """Every number, for programs."""


def plain(words: Words) -> str:
    """The words alone."""
    if isinstance(words, str):
        return words
    return plain(words.words) if isinstance(words, Mark) else "".join(map(plain, words))


def lines(block: Block) -> list[Words]:
    """Terms, samples or cards, a line for each, where there are words alone."""
    match block:
        case Terms():
            return [(f"{term}: ", words) for term, words in block.entries.items()]
        case Samples():
            told = (line for sample in block.samples for line in sample.lines)
            return [f"{label}: {text}" if label else text for label, text in told]
        case Cards():
            cards = block.cards
            return [(f"{c.name}: {c.value} {c.beside}, {c.versus}; ", c.chip) for c in cards]
        case _:
            return []
