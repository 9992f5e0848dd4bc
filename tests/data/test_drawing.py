import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image as PillowImage
from rich.console import Console

from chiasm.data.drawing import draw_item, draw_row, row_spans, row_table
from chiasm.data.packing import pack_documents
from chiasm.documents import Document, Image, Text
from chiasm.rgb import ImageShape


@pytest.fixture
def batch(made):
    target = Image(made.picture(0), target=True)
    context = Image(made.picture(1), target=False)
    documents = [
        Document((context, Text("caption: [red] wall\n"))),
        Document((Text("picture: "), target)),
    ]
    return pack_documents(
        documents,
        made.tokenizer,
        made.reader,
        60,
        source_numbers=[1, 0],
        source_names=("one", "two"),
    )


def test_spans_tile_the_row_with_their_roles(batch, made):
    spans = row_spans(batch, 0, made.tokenizer)
    assert [span.begin for span in spans] == [0, *(span.end for span in spans[:-1])]
    assert spans[-1].end == 60
    assert [(span.source, span.role, span.text) for span in spans] == [
        ("two", "text", ""),  # <bod>
        ("two", "context", ""),
        ("two", "text", "caption: [red] wall\n"),
        ("one", "text", "picture: "),
        ("one", "target", ""),
        ("one", "text", ""),  # <eod>
        ("", "padding", ""),
    ]
    assert [span.item for span in spans if span.item is not None] == [("image", 0), ("image", 1)]
    assert [span.end - span.begin for span in spans if span.item is not None] == [5, 5]


def test_a_dropped_condition_is_a_role(made):
    stream = made.stream(made.three_sources(), condition_dropout=0.5)
    roles = {span.role for _ in range(5) for span in row_spans(next(stream), 0, made.tokenizer)}
    assert {"target", "target, condition dropped", "context", "text"} <= roles


def test_the_table_names_everything(batch, made):
    file = io.StringIO()
    Console(file=file, width=120).print(row_table(batch, 0, made.tokenizer))
    printed = file.getvalue()
    for what in (
        "lane 0, row 0",
        "image context",
        "image target",
        "padding",
        "two",
        "picture: ",
        "<eod>",
    ):
        assert what in printed
    assert "<bod>picture: " in printed
    assert "caption: [red] wall⏎<eod>" in printed  # brackets are no markup


@pytest.mark.slow
def test_the_drawing_shows_the_mask(batch, made, tmp_path):
    path = tmp_path / "row.png"
    draw_row(batch, 0, made.tokenizer, path)
    with PillowImage.open(path) as picture:
        pixels = np.array(picture.convert("RGB")).reshape(-1, 3)
    shown = {tuple(colour) for colour in pixels.tolist()}
    for colour in ("#4c72b0", "#dd8452", "#55a868", "#dddddd"):  # text, target, context, padding
        assert tuple(bytes.fromhex(colour[1:])) in shown


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(20, 60), (60, 20), (40, 40)])
def test_the_drawing_keeps_the_pictures_proportions(made, tmp_path, height, width):
    pink = np.full((height, width, 3), (250, 0, 250), np.uint8)
    shape = ImageShape(height, width, 1, 3)
    documents = [Document((Image(pink, target=False), Text("caption: pink")))]
    path = tmp_path / "row.png"
    reader = made.Reader({"image": shape})
    draw_row(pack_documents(documents, made.tokenizer, reader, 60), 0, made.tokenizer, path)
    with PillowImage.open(path) as picture:
        drawn = (np.array(picture.convert("RGB")) == pink[0, 0]).all(axis=-1)
    drawn_height, drawn_width = (int(drawn.any(axis=axis).sum()) for axis in (1, 0))
    assert drawn_height > 15
    assert drawn_width / drawn_height == pytest.approx(width / height, rel=0.15)


@pytest.mark.parametrize(
    ("shape", "channels", "steps"), [((32, 3), 3, 32), ((3, 32), 3, 32), ((16,), 1, 16)]
)
def test_a_series_is_drawn_along_time_with_a_line_for_each_channel(shape, channels, steps):
    axes = Figure().subplots()
    draw_item(axes, torch.zeros(shape))
    assert [len(line.get_xdata()) for line in axes.lines] == [steps] * channels
