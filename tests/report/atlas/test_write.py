"""What lies in the folder: a page that needs nothing, a table with every number, figures."""

import json
import re
import xml.etree.ElementTree

import numpy as np
import pytest

from chiasm.errors import UserError
from chiasm.report.atlas import write_atlas

COMMAND = "chiasm experts 'a <run>'"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folders") / "run <1>"
    folder.mkdir()
    (folder / "recipe.toml").write_text('name = "<wide>"\n')
    (folder / "versions.json").write_text('{"torch": "2.13.0"}')
    return folder


@pytest.fixture(scope="module")
def files(folder, atlas):
    return write_atlas(folder, atlas, COMMAND)


def test_the_page_needs_nothing_beside_it(files):
    page = files.page.read_text()
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:image/png;base64,|#)""", page)
    assert not re.search(r"@import|<script|<link|<iframe|url\((?!#)", page)
    assert page.count("<svg") == len(files.figures)


def test_what_comes_from_data_is_escaped(files):
    page = files.page.read_text()
    for told in ("run &lt;1&gt;", "a &lt;run&gt;", "&quot;&lt;wide&gt;&quot;", "&lt;read&gt;: 12"):
        assert told in page
    assert "<read>" not in page
    assert "<wide>" not in page


def test_every_figure_is_a_file_that_stands_alone(files, folder):
    assert [path.stem for path in files.figures] == [
        *("classes", "specialisation", "tasks", "noise", "spreads", "sources", "places")
    ]
    for path in files.figures:
        assert path.parent == folder / "experts"
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
    assert [path.stem for path in again.figures] == ["spreads"]
    assert [path.stem for path in (folder / "experts").glob("*.svg")] == ["spreads"]
    page, record = again.page.read_text(), json.loads(again.table.read_text())
    assert "Not measured" in page
    assert "no text or no pictures" in page
    assert record["specialisation"] is record["understanding_and_generation"] is None
    assert set(record["skipped"]) >= {"specialisation", "understanding and generation"}


def test_a_folder_that_cannot_be_written_is_the_users_mistake(tmp_path, atlas):
    (tmp_path / "experts").write_text("a file in the way")
    with pytest.raises(UserError, match="the atlas cannot be written"):
        write_atlas(tmp_path, atlas, COMMAND)
