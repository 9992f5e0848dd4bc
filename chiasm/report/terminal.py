"""Prints a report, or a part of one, to the terminal: tables and text without images."""

from __future__ import annotations

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from chiasm.report import doc


def show(*blocks: doc.Block) -> None:
    """Prints blocks one after the other."""
    for block in filter(None, blocks):
        match block:
            case doc.Section():
                show(doc.Prose(block.heading), doc.Prose(block.lead), *block.blocks)
            case doc.Prose():
                print(doc.plain(block.words))
            case doc.Table():
                Console().print(_table(block))
            case doc.Commands():
                print(f"{block.title}\n{block.text}".strip())
            case _:
                for line in doc.lines(block):
                    print(doc.plain(line))


def _table(table: doc.Table) -> Table:
    columns = enumerate(table.columns)
    drawn = Table(*(Column(name, no_wrap=place in table.unbroken) for place, name in columns))
    for row in table.rows:
        words = (cell.words if isinstance(cell, doc.Cell) else cell for cell in row)
        drawn.add_row(*(Text(doc.plain(each)) for each in words))
    return drawn
