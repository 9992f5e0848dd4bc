"""Renders a report as Markdown, with its figures in files beside it, for docs."""

from __future__ import annotations

from collections.abc import Iterable

from chiasm.report import doc


def markdown(report: doc.Report) -> str:
    """Returns the whole text."""
    facts = doc.Terms(report.facts)
    head = [doc.Prose(f"# {report.title}"), *map(doc.Prose, report.intro), facts]
    return _blocks([*head, *report.sections, doc.Prose(report.footer)], 2) + "\n"


def _blocks(blocks: Iterable[doc.Block], level: int) -> str:
    return "\n\n".join(_block(block, level) for block in blocks if block)


def _block(block: doc.Block, level: int) -> str:
    """Returns a block as Markdown; ``level`` is that of a section's heading."""
    match block:
        case doc.Section():
            heading = f"{'#' * level} {_words(block.heading)}" if block.heading else ""
            return _blocks([doc.Prose(heading), doc.Prose(block.lead), *block.blocks], level + 1)
        case doc.Prose():
            return _words(block.words)
        case doc.Table():
            rows = [block.columns, ["---"] * len(block.columns), *map(_cells, block.rows)]
            return "\n".join("| " + " | ".join(row) + " |" for row in rows)
        case doc.Figure():
            return f"![{block.title}]({block.svg})"
        case doc.Commands():
            title = f"{block.title}:\n\n" if block.title else ""
            return f"{title}```\n{block.text}\n```"
        case _:
            return "\n".join(f"- {_words(line)}" for line in doc.lines(block))


def _words(words: doc.Words) -> str:
    if isinstance(words, tuple):
        return "".join(map(_words, words))
    if isinstance(words, str):
        return words
    around = {"strong": "**", "code": "`"}.get(words.form, "")
    return f"{around}{_words(words.words)}{around}"


def _cells(row: doc.Row) -> list[str]:
    words = (cell.words if isinstance(cell, doc.Cell) else cell for cell in row)
    return [_words(each).replace("|", "\\|").replace("\n", "<br>") for each in words]
