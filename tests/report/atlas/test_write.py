"""What lies in the folder: a page that needs nothing, a table with every number, figures."""

import json
import re
import shutil
import xml.etree.ElementTree
from dataclasses import replace

import numpy as np
import pytest

from chiasm.errors import UserError
from chiasm.evaluation.atlas.atlas import NOISE
from chiasm.evaluation.atlas.spread import Excess
from chiasm.report.atlas.page import atlas_report
from chiasm.report.atlas.table import atlas_record
from chiasm.report.atlas.write import earlier_atlas, write_atlas
from chiasm.report.html import html
from chiasm.report.record import as_json
from chiasm.report.run_folder import RunFolder

COMMAND = "chiasm experts 'a <run>'"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folders") / "run <1>"
    folder.mkdir()
    (folder / "recipe.toml").write_text('name = "<wide>"\n')
    (folder / "versions.json").write_text('{"torch": "2.13.0"}')
    return folder


@pytest.fixture(scope="module")
def rendered(folder):
    """The page of an atlas, without its figures."""
    return lambda atlas: html(atlas_report(atlas, RunFolder.read(folder), {}, COMMAND))


@pytest.fixture(scope="module")
def files(folder, atlas):
    return write_atlas(folder, atlas, COMMAND)


@pytest.mark.slow
def test_the_page_needs_nothing_beside_it(files):
    page = files.page.read_text()
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:image/png;base64,|#)""", page)
    assert not re.search(r"@import|<script|<link|<iframe|url\((?!#)", page)
    assert page.count("<svg") == len(list(files.page.parent.glob("*.svg")))


def test_what_comes_from_data_is_escaped(files):
    page = files.page.read_text()
    for told in ("run &lt;1&gt;", "a &lt;run&gt;", "&quot;&lt;wide&gt;&quot;", "&lt;read&gt;: 12"):
        assert told in page
    assert "<read>" not in page
    assert "<wide>" not in page


def test_every_figure_is_a_file_that_stands_alone(files, folder):
    figures = list((folder / "experts").glob("*.svg"))
    assert {path.stem for path in figures} == {
        *("classes", "specialisation", "tasks", "noise", "spreads", "sources", "places")
    }
    for path in figures:
        assert xml.etree.ElementTree.parse(path).getroot().tag.endswith("svg")


def test_the_table_holds_every_number(files, atlas):
    record = json.loads(files.table.read_text())
    special = record["specialisation"]
    assert np.array_equal(np.array(special["s"], float), atlas.specialisation.value_QR, True)
    assert special["count"] == atlas.specialisation.count_Q3.tolist()
    tasks = record["understanding_and_generation"]
    assert tasks["correlation"]["value"] == atlas.tasks.between.value.tolist()
    assert record["load"] == list(atlas.loads)
    assert record["command"] == COMMAND
    assert record["versions"]["training"] == {"torch": "2.13.0"}
    assert {"git_commit", "torch", "command"} <= set(record["versions"]["atlas"])
    assert record["settings"]["seed"] == 0
    assert len(record["chosen_together"]) == 4
    assert set(record["variation"]) <= {
        *("vision experts, by flow time", "drawn pictures, by flow time", "text, by source"),
        *("pictures, by source", "text, by place in the document"),
        "pictures, by place in the image",
    }


def test_the_page_tells_the_tables_numbers(files, atlas):
    page = files.page.read_text()
    for place in range(2):
        assert f"{atlas.tasks.between.value[place]:.3f}".replace("-", "−") in page
        assert f"{atlas.loads[place]['text']['entropy']:.3f}" in page
    assert "S &gt; 0.2" in page


def test_what_is_missing_is_said_and_leaves_no_stale_figure(files, folder, atlas_of):
    again = write_atlas(folder, atlas_of("text"), COMMAND)
    assert [path.stem for path in (folder / "experts").glob("*.svg")] == ["spreads"]
    page, record = again.page.read_text(), json.loads(again.table.read_text())
    assert "Not measured" in page
    assert "of the 12 documents read none holds a picture" in page
    assert record["specialisation"] is record["understanding_and_generation"] is None
    assert set(record["skipped"]) >= {"specialisation", "understanding and generation"}


@pytest.mark.slow
def test_an_earlier_atlas_is_named(tmp_path, folder, atlas):
    run = shutil.copytree(folder, tmp_path / "run", ignore=shutil.ignore_patterns("experts"))
    assert earlier_atlas(run) == ""
    files = write_atlas(run, atlas, COMMAND)
    assert earlier_atlas(run) == "36 documents, cutoff 0.2, seed 0"
    files.table.write_text("[]")
    assert earlier_atlas(run) == "an unreadable atlas.json"


def test_few_documents_are_said(rendered, atlas):
    page = rendered(atlas)
    told = "12 that hold a picture to read, 12 that hold a picture to draw. Below 30"
    assert "few documents</span> 12 that hold a picture to read" in page
    assert told in page
    many = replace(atlas, holding=dict.fromkeys(atlas.holding, 30))
    assert "few documents" not in rendered(many)


def test_resamples_that_are_left_out_are_said(rendered, atlas):
    assert "resamples that drew no" not in rendered(atlas)
    special = replace(atlas.specialisation, left_out=31)
    page = rendered(replace(atlas, specialisation=special))
    assert "without the 31 of 500 resamples that drew no text or no pictures" in page


@pytest.mark.parametrize("missing", ["", NOISE])
def test_the_coefficient_and_chance_are_defined_once(missing, rendered, atlas):
    spreads = {name: spread for name, spread in atlas.spreads.items() if name != missing}
    page = rendered(replace(atlas, spreads=spreads))
    assert page.count("the standard deviation of an expert") == 1
    assert page.count("Multinomial: what") == 1
    assert page.index("the standard deviation of an expert") < page.index("What else") or missing


def test_the_page_tells_the_tables_verdicts(rendered, atlas):
    record, page = as_json(atlas_record(atlas, COMMAND, {})), rendered(atlas)
    for spread in atlas.spreads.values():
        for value, verdict in zip(spread.value_Q, spread.verdicts, strict=True):
            told = f"({verdict})" if verdict != Excess.MORE else f'class="chip">{verdict}<'
            assert verdict == Excess.UNKNOWN or re.search(
                f"{value:.3f} [^>]*?{re.escape(told)}", page
            )
    verdicts = [each["verdict"] for each in record["variation"].values()]
    assert verdicts == [list(spread.verdicts) for spread in atlas.spreads.values()]


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_the_users_mistake(tmp_path, atlas):
    (tmp_path / "experts").write_text("a file in the way")
    with pytest.raises(UserError, match="the atlas cannot be written"):
        write_atlas(tmp_path, atlas, COMMAND)
