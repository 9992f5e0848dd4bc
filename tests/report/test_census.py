"""The page of a recipe's data."""

import numpy as np

from chiasm.data.census import Census
from chiasm.data.source import SourceFacts
from chiasm.documents import Document, Image, Sound, Text
from chiasm.report.census import Counted, census_report
from chiasm.report.html import html
from chiasm.report.record import json_text
from chiasm.waveform import Waveform


def test_a_page_tells_all_that_was_counted_and_shows_documents() -> None:
    wide = np.zeros((100, 2000, 3), np.uint8)
    census = Census(
        documents=40,
        positions={"text": 1234, "image": 567},
        items={"image": 40},
        text_bytes=9876,
        pieces=40,
        rejects={"a picture cannot be decoded": 3},
        told=("pairs[7]: picture <b>7</b> cannot be decoded",),
        sizes_I2=np.array([[100, 2000]] * 40),
    )
    told = Waveform(np.random.default_rng(0).normal(0, 0.05, 80_000), 8000)
    documents = [
        Document((Image(wide, target=True), Text("a caption & more"))),
        Document((Text("words " * 200),)),
        Document((Text("speech: & more"), Sound(told, target=True))),
        Document((Text("video:"), *[Image(wide, target=True)] * 6)),
    ]
    facts = SourceFacts(
        "image_text", rows=80, documents=160, held_out=8, files=tuple("abcde"),
        skipped={"no text": 2}, unusable=("no text: t.csv, row 7",), notes=("left: x.csv",),
        column="text", video_column="clip",
    )  # fmt: skip
    counted = [Counted("pairs", "train", 152, census, documents)]
    report = census_report("mine", counted, {"pairs": facts})
    page = html(report)
    for said in (
        *(
            "40 of 152",
            "1,234",
            "567",
            "9,876",
            "a picture cannot be decoded",
            "rows skipped: no text",
        ),
        *(
            "a, b, c and 2 more",
            "left: x.csv",
            "clip, text",
            "no text: t.csv, row 7",
            "and 2 more of image",
            "2,000",
            "a caption &amp; more",
            "&lt;b&gt;7",
        ),
        *("...", "positions of image"),
    ):
        assert said in page, said
    assert page.count("<img") == 6  # one, none, one and four
    assert page.count("<audio") == 1
    assert "made, the first 3 of 10.0 seconds" in page
    assert len(page) < 80_000  # thumbnails, not pictures; seconds, not sounds
    assert '"text": 1234' in json_text(report.record)
