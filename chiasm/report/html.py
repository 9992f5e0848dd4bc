"""Renders a report as one self-contained page.

All text is escaped; images and sounds are data URIs and figures inline SVG, so that the file can
be mailed or archived as it is.
"""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from chiasm.report import doc, sounds
from chiasm.report.pictures import data_uri, moving_data_uri, pixels_of

if TYPE_CHECKING:
    from chiasm.evaluation.evaluation import Animation, Panel, Sample, SoundPanel

HYPHEN_AS_MINUS = re.compile(r"(?<![\w.)-])-(?=[\d.])|(?<=\de)-(?=\d)")
"""A hyphen that is a minus sign: before a number with nothing to join or to subtract from; or in an
exponent.
"""


def html(report: doc.Report) -> str:
    """Returns the whole page."""
    intro = "".join(f"<p>{_words(words)}</p>" for words in report.intro)
    facts = "".join(
        f"<div><b>{escape(value)}</b>{escape(name)}</div>" for name, value in report.facts.items()
    )
    body = [
        f"<header><h1>chiasm <small>{escape(report.subject)}</small></h1>{intro}"
        f'<div class="facts">{facts}</div></header>',
        *(_block(section) for section in report.sections if section),
        f"<footer>{escape(report.footer)}</footer>",
    ]
    template = Template((files("chiasm.report") / "page.html").read_text(encoding="utf-8"))
    return template.substitute(title=escape(report.title), body="\n".join(body))


def _words(words: doc.Words) -> str:
    if isinstance(words, tuple):
        return "".join(map(_words, words))
    if isinstance(words, str):
        return HYPHEN_AS_MINUS.sub("−", escape(words)).replace("\n", "<br>")
    inner = _words(words.words)
    match words.form:
        case "chip":
            return f'<span class="{f"chip {_css(words)}".strip()}">{inner}</span>'
        case "link":
            return f'<a href="#{escape(words.of)}">{inner}</a>'
        case "code":  # where a hyphen is one
            return f"<code>{escape(doc.plain(words)).replace(chr(10), '<br>')}</code>"
        case _:
            element = {"strong": "b", "small": "small"}[words.form]
            return f"<{element}>{inner}</{element}>"


def _css(chip: doc.Mark) -> str:
    return chip.of.replace(" ", "-")


def _block(block: doc.Block, level: int = 2) -> str:
    """Returns a block as HTML; ``level`` is that of a section's heading."""
    match block:
        case doc.Section():
            anchor = f' id="{escape(block.anchor)}"' if block.anchor else ""
            heading = f"<h{level}{anchor}>{_words(block.heading)}</h{level}>"
            blocks = (doc.Prose(block.lead), *block.blocks)
            return heading + "".join(_block(each, level + 1) for each in blocks if each)
        case doc.Prose():
            return f'<p class="lead">{_words(block.words)}</p>'
        case doc.Terms():
            entries = (
                f"<dt>{escape(term)}</dt><dd>{_words(words)}</dd>"
                for term, words in block.entries.items()
            )
            return f"<dl>{''.join(entries)}</dl>"
        case doc.Table():
            return _table(block)
        case doc.Figure():
            return f'<div class="plot">{block.svg}</div>'
        case doc.Samples():
            small = " small" if max(len(each.panels) for each in block.samples) < 2 else ""
            return f'<div class="samples{small}">{"".join(map(_sample, block.samples))}</div>'
        case doc.Cards():
            return f'<div class="cards">{"".join(map(_card, block.cards))}</div>'
        case doc.Commands():
            text = f"<pre>{escape(block.text)}</pre>"
            summary = f"<summary>{escape(block.title)}</summary>"
            return f"<details>{summary}{text}</details>" if block.title else text
        case _:
            raise TypeError(f"{type(block)} is no part of a report")


def _table(table: doc.Table) -> str:
    head = ""
    for place, name in enumerate(table.columns):
        width = f' style="width:{table.widths[place]}"' if place < len(table.widths) else ""
        head += f"<th{width}>{escape(name)}</th>"
    body = "".join(_row(row, table) for row in table.rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _row(row: doc.Row, table: doc.Table) -> str:
    cells, form = "", ""
    for place, cell in enumerate(row):
        own = cell if isinstance(cell, doc.Cell) else doc.Cell(cell)
        form = ' class="section"' if own.is_heading else ""
        look = ' class="n"' if place in table.unbroken else ""
        look += f' rowspan="{own.rows}"' if own.rows > 1 else ""
        look += f' colspan="{own.columns}"' if own.columns > 1 else ""
        cells += f"<td{look}>{_words(own.words)}</td>"
    return f"<tr{form}>{cells}</tr>"


def _sample(sample: Sample) -> str:
    from chiasm.evaluation.evaluation import Animation, Strip

    panels = "".join(map(_panel, sample.panels))
    lines = "".join(
        f"<div>{f'<i>{escape(label)}</i>' if label else ''}{escape(text)}</div>"
        for label, text in sample.lines
    )
    count = sum(not isinstance(panel, Strip | Animation) for panel in sample.panels)
    form = " side" if count == 1 else " full" if count > 5 else " full side" if count > 3 else ""
    return (
        f'<div class="sample{form}"><div class="panels">{panels}</div>'
        f'<div class="lines">{lines}</div></div>'
    )


def _panel(panel: Panel | SoundPanel) -> str:
    from chiasm.evaluation.evaluation import Animation, SoundPanel, Strip

    if isinstance(panel, Animation):
        return _animation(panel)
    form = ' class="strip"' * isinstance(panel, Strip)
    player = ""
    if isinstance(panel, SoundPanel):
        panel = panel.beginning(sounds.MOST_SECONDS)
        player = f'<audio controls src="{sounds.data_uri(panel.sound)}"></audio>'
        form = ' class="sound"'
    label = escape(panel.label)
    return (
        f'<figure{form}><img alt="{label}" src="{data_uri(pixels_of(panel))}">{player}'
        f"<figcaption>{label}</figcaption></figure>"
    )


def _animation(panel: Animation) -> str:
    """Returns a moving image over the names of its parts; on paper it is one moment."""
    names = "".join(f"<span>{escape(name)}</span>" for name in panel.parts)
    return (
        f'<figure class="moving"><img alt="{escape(panel.label)}" '
        f'src="{moving_data_uri(panel.moments)}"><figcaption>{names}</figcaption></figure>'
    )


def _card(card: doc.Card) -> str:
    return (
        f'<div class="card {_css(card.chip)}"><div class="name">{escape(card.name)}</div>'
        f'<div class="value">{_words(card.value)} <span>{escape(card.beside)}</span></div>'
        f'<div class="versus">{_words(card.versus)}</div>{_words(card.chip)}</div>'
    )
