"""One report of every part, as each renderer writes it."""

import dataclasses
import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest

from chiasm.evaluation.evaluation import Panel, Sample, SoundPanel
from chiasm.report import doc
from chiasm.report.html import html
from chiasm.report.markdown import markdown
from chiasm.report.record import as_json, json_text
from chiasm.report.terminal import show
from chiasm.settings import Settings
from chiasm.waveform import Waveform

CHIP = doc.Mark("better", "chip", "not separated")
ROWS = [
    [doc.Cell("metric <one>", columns=2, is_heading=True)],
    [("a | b\n", doc.Mark("below", "small")), doc.Mark("-1e-05", "strong")],
    [doc.Cell(doc.Mark("chiasm --x -1", "code"), rows=2), CHIP],
    [doc.Mark("there", "link", "place")],
]
BLOCKS = {
    "prose": doc.Prose("words & words"),
    "terms": doc.Terms({"term": "meaning"}),
    "table": doc.Table(ROWS, ("cell", "value"), unbroken={1}, widths=("33%",)),
    "figure": doc.Figure("<svg></svg>", "a title"),
    "samples": doc.Samples(
        [
            Sample("", (("Q", "what <is> it?"), ("", "free")), ()),
            Sample("", (), (Panel("drawn", np.zeros((8, 8, 3), np.uint8)),)),
            Sample("", (), (SoundPanel("made", Waveform(np.zeros(96_000), 8000)),)),
        ]
    ),
    "cards": doc.Cards([doc.Card("accuracy", "62.0 %", "± 1.0 %", "majority: 60.0 %", CHIP)]),
    "commands": doc.Commands("chiasm train <a>.toml"),
    "folded": doc.Commands("[model]", "The recipe"),
    "section": doc.Section("Smaller", [doc.Prose("inside")], "before", anchor="place"),
}


@pytest.fixture
def report() -> doc.Report:
    return doc.Report(
        title="a report",
        subject="of <this>",
        intro=["first"],
        facts={"cells": "3 of 4"},
        sections=[doc.Section("Every part", list(BLOCKS.values()))],
        footer="the end",
    )


def test_a_page_has_every_part_and_escapes_it(report):
    page = html(report)
    assert "<h2>Every part</h2>" in page
    assert '<h3 id="place">Smaller</h3><p class="lead">before</p>' in page
    assert "<small>of &lt;this&gt;</small>" in page
    assert "<b>3 of 4</b>cells" in page
    assert '<tr class="section"><td colspan="2">metric &lt;one&gt;</td></tr>' in page
    assert "<td>a | b<br><small>below</small></td>" in page
    assert '<span class="chip not-separated">better</span>' in page
    assert '<td rowspan="2"><code>chiasm --x -1</code></td>' in page
    assert '<a href="#place">there</a>' in page
    assert '<th style="width:33%">cell</th><th>value</th>' in page
    assert "<dt>term</dt><dd>meaning</dd>" in page
    assert "<i>Q</i>what &lt;is&gt; it?" in page
    assert page.count("data:image/webp;base64,") == 2
    assert page.count('<audio controls src="data:audio/flac;base64,') == 1
    assert "<figcaption>made, the first 10 of 12.0 seconds</figcaption>" in page
    assert "<pre>chiasm train &lt;a&gt;.toml</pre>" in page
    assert "<details><summary>The recipe</summary><pre>[model]</pre></details>" in page
    assert '<div class="plot"><svg></svg></div>' in page
    assert '<div class="card not-separated"><div class="name">accuracy</div>' in page


def test_a_hyphen_before_a_number_is_a_minus_sign_on_a_page_alone(report):
    assert '<td class="n"><b>−1e−05</b></td>' in html(report)
    assert "-1e-05" in markdown(report)
    kept = doc.Report("", [doc.Section("", [doc.Prose("w-1 of 2024-11, 3-4, --x, dx=-1")])])
    assert "w-1 of 2024-11, 3-4, --x, dx=−1" in html(kept)


def test_markdown_has_every_part(report):
    text = markdown(report)
    assert text.startswith(
        "# a report\n\nfirst\n\n- cells: 3 of 4\n\n## Every part\n\nwords & words"
    )
    assert "\n\n- term: meaning\n\n| cell | value |\n| --- | --- |\n| metric <one> |\n" in text
    assert "| a \\| b<br>below | **-1e-05** |\n| `chiasm --x -1` | better |" in text
    assert "![a title](<svg></svg>)\n\n- Q: what <is> it?\n- free\n\n- accuracy: 62.0 %" in text
    assert "```\nchiasm train <a>.toml\n```\n\nThe recipe:\n\n```\n[model]\n```" in text
    assert text.endswith("### Smaller\n\nbefore\n\ninside\n\nthe end\n")


def test_the_terminal_has_every_part_in_words(report, capsys):
    show(*report.sections)
    told = capsys.readouterr().out
    for words in (
        "Every part",
        "words & words",
        "term: meaning",
        "metric <one>",
        "Q: what <is> it?",
    ):
        assert words in told
    assert "accuracy: 62.0 % ± 1.0 %, majority: 60.0 %; better" in told
    assert "The recipe\n[model]" in told
    assert re.search(r"chiasm --x -1 +│ better", told)
    assert "<svg" not in told


def test_numbers_are_whole_on_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    columns = ("side", "documents read", "bytes of text", "positions of image", "of sound")
    rows = [("films, held_out", "1,234 of 12,345", "1,234,567", "12,345,678", "9")]
    show(doc.Table(rows, columns, unbroken=range(5)))
    lines = capsys.readouterr().out.splitlines()
    for word in rows[0]:
        assert any(word in line for line in lines), word
    assert max(map(len, lines)) <= 40
    assert sum("films, held_out" in line for line in lines) == 3, "in parts, each with its names"


def test_a_number_without_a_unit_is_followed_by_a_comma(capsys):
    show(doc.Cards([doc.Card("words", "6.0 %", "", "most frequent: 4.0 %", CHIP)]))
    assert "words: 6.0 %, most frequent: 4.0 %; better" in capsys.readouterr().out


@pytest.mark.parametrize("kind", sorted(BLOCKS))
def test_what_is_empty_is_left_out(kind, capsys):
    block = BLOCKS[kind]
    first = dataclasses.fields(block)[0 if kind != "section" else 1].name
    empty = dataclasses.replace(block, **{first: ()})
    section = doc.Section("Nothing here", [empty], "not even this")
    assert block
    assert not empty
    assert not section
    show(section)
    assert capsys.readouterr().out == ""
    report = doc.Report("title", [section])
    assert "Nothing" not in html(report)
    assert markdown(report) == "# title\n"


def test_json_knows_no_number_that_is_not_finite():
    class Own(Settings):
        size: int = 3

    class Told(tuple):
        def to_json(self):
            return {"sum": math.nan if not self else sum(self)}

    value = {
        "nan": math.nan,
        "array": np.array([[1.0, np.inf], [2.0, 3.0]]),
        "settings": Own(),
        "own": [Told((1, 2)), Told()],
        "dataclass": Panel("drawn", np.zeros(2, np.uint8)),
        1: (math.inf, "text", None, True),
    }
    assert as_json(value) == {
        "nan": None,
        "array": [[1.0, None], [2.0, 3.0]],
        "settings": {"size": 3},
        "own": [{"sum": 3}, {"sum": None}],
        "dataclass": {"label": "drawn", "pixels": [0, 0]},
        1: [None, "text", None, True],
    }
    assert json.loads(json_text({"a": math.nan})) == {"a": None}


def test_what_renders_reports_loads_no_model():
    """So that numbers alone, such as a forecast's, can be told without torch."""
    code = (
        "import sys, chiasm.report.files, chiasm.report.markdown, chiasm.report.numbers\n"
        "import chiasm.report.terminal\n"
        "print(*sys.modules, sep='\\n')"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    names = set(told.stdout.split())
    assert "chiasm.report.html" in names
    assert not names & {"torch", "chiasm.evaluation", "matplotlib"}
