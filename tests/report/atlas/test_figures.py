"""What the figures say: their scales, titles, and which whisker belongs to which class."""

import re

import pytest

from chiasm.report.atlas.figures import COLOURS, draw_figures


def texts(svg: str) -> list[str]:
    """Everything that is written in a figure."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


@pytest.fixture(scope="module")
def figures(atlas):
    return draw_figures(atlas)


@pytest.mark.slow
def test_a_single_block_has_a_whole_number(atlas_of):
    atlas = atlas_of("read", "draw", "text", dense_blocks=1)
    figures = draw_figures(atlas)
    for name in ("classes", "tasks", "spreads"):
        of_own_block = figures[name].split(">block<")[0]  # the ticks stand before their label
        assert next(told for told in texts(of_own_block) if told[0].isdigit()) == "1"
    panels = len(atlas.spreads.keys() - {"noise"})
    assert texts(figures["spreads"]).count("1") == panels


@pytest.mark.slow
def test_every_whisker_has_its_class_colour(figures):
    strokes = re.findall(r'id="LineCollection_\d+">.*?stroke: (#\w{6})', figures["classes"], re.S)
    assert strokes[:3] == [COLOURS[name] for name in ("text", "multimodal", "vision")]


def test_the_map_of_sources_says_what_its_sides_are(figures):
    told = texts(figures["sources"])
    assert {"Which experts each source uses", "experts, from text to vision"} <= set(told)
    assert {"&lt;text&gt;: text", "&lt;read&gt;: pictures", "load, 1 is even"} <= set(told)


def test_the_map_of_places_has_a_scale(figures):
    assert "over its mean rate" in texts(figures["places"])


def test_blocks_of_the_scatter_are_named_below_it(figures):
    """A legend inside would cover points; y grows downwards."""
    y = {
        told: float(at)
        for at, told in re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>([^<]*)</text>', figures["tasks"])
    }
    assert y["block 0"] > y["R, read pictures"]
