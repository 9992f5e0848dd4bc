"""Prints a report, or a part of one, to the terminal: tables and text without images."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chiasm.report import doc

_ANY_WIDTH = 10_000


def show(*blocks: doc.Block) -> None:
    """Prints blocks one after the other."""
    for block in filter(None, blocks):
        match block:
            case doc.Section():
                show(doc.Prose(block.heading), doc.Prose(block.lead), *block.blocks)
            case doc.Prose():
                print(doc.plain(block.words))
            case doc.Table():
                console = Console()
                for part in _fitting(block, console):
                    console.print(part)
            case doc.Commands():
                print(f"{block.title}\n{block.text}".strip())
            case _:
                for line in doc.lines(block):
                    print(doc.plain(line))


def _fitting(table: doc.Table, console: Console) -> Iterator[Table]:
    """Yields a table whole, or as several that fit the screen, each with the first column."""
    left = [*range(1, len(table.columns))]
    while True:
        count = len(left)
        while count > 1 and _least_width(_drawn(table, left[:count]), console) > console.width:
            count -= 1
        yield _drawn(table, left[:count])
        left = left[count:]
        if not left:
            return


def _least_width(drawn: Table, console: Console) -> int:
    return console.measure(drawn, options=console.options.update(max_width=_ANY_WIDTH)).minimum


def _drawn(table: doc.Table, places: Sequence[int]) -> Table:
    """Returns the first column of a table beside some others."""
    rows = [
        [Text(doc.plain(each.words if isinstance(each, doc.Cell) else each)) for each in row]
        for row in table.rows
    ]
    drawn = Table()
    for place in (0, *places):
        unbroken = place in table.unbroken
        widths = [row[place].cell_len for row in rows if unbroken and place < len(row)]
        width = max(widths, default=0)
        title = _header(table.columns[place], width)
        drawn.add_column(title, min_width=width or None, no_wrap=unbroken)
    for row in rows:
        drawn.add_row(*(row[place] for place in (0, *places) if place < len(row)))
    return drawn


def _header(name: str, width: int) -> str:
    """Returns a title in lines of one width, where this is not 0, or of its longest word."""
    longest = max(map(len, name.split()), default=0)
    return textwrap.fill(name, max(width, longest)) if width else name
