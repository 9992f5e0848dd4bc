import base64
import dataclasses
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from chiasm.errors import UserError
from chiasm.report.overview import (
    GAP_PIXELS,
    LABEL_PIXELS,
    LINE_PIXELS,
    MARGIN_PIXELS,
    PICTURE_PIXELS,
)
from chiasm.report.page import write_report

pytestmark = pytest.mark.slow


@pytest.fixture
def files(run_folder, evaluation, provenance):
    return write_report(run_folder, evaluation, provenance)


def test_the_table_holds_every_row_with_its_verdict(files, evaluation):
    record = json.loads(files.table.read_text())
    assert [row["name"] for row in record["rows"]] == [row.name for row in evaluation.rows]
    for written, row in zip(record["rows"], evaluation.rows, strict=True):
        assert written["value"] == row.value
        assert written["standard_error"] == row.standard_error
        assert written["baseline"] == row.baseline
        assert written["unit"] == row.unit
        assert written["seed"] == row.seed
        assert written["verdict"] == str(row.verdict)
    assert len(record["flow_loss_by_noise"]) == len(evaluation.flow_points)
    assert [
        (point["source"], point["measure"], point["frames_ahead"], point["baseline_name"])
        for point in record["rollout_by_horizon"]
    ] == [
        (point.source, point.measure, point.frames_ahead, point.row.baseline_name)
        for point in evaluation.horizon_points
    ]
    assert record["command"] == "chiasm train a.toml --set 'x=<1>'"
    assert record["versions"] == {"torch": "2.13.0"}


def test_the_page_holds_every_row(files, evaluation):
    page = files.page.read_text()
    for row in evaluation.rows:
        assert row.name in page
        assert str(row.num_items) in page


def test_the_page_needs_nothing_beside_it(files):
    page = files.page.read_text()
    assert not re.findall(
        r"""(?:src|href)\s*=\s*["'](?!data:image/webp;base64,|data:audio/flac;base64,|#)""", page
    )
    assert not re.search(r"@import|<script|<link|url\((?!#)", page)


def test_the_page_draws_rollouts_by_horizon_for_each_source(files):
    [figure] = re.findall(
        r"<svg(?:(?!</svg>).)*frames ahead.*?</svg>", files.page.read_text(), re.S
    )
    for words in ("PSNR", "PSNR, walks &amp; more", "imagined", "last frame", "shuffled actions"):
        assert f">{words}</text>" in figure


def test_a_walk_moves_on_the_page_above_the_names_of_its_parts(files):
    [(content, names)] = re.findall(
        r'<figure class="moving"><img [^>]*base64,([^"]*)"><figcaption>(.*?)</figcaption>',
        files.page.read_text(),
    )
    assert names == "<span>&lt;true&gt;</span><span>imagined</span>"
    with Image.open(io.BytesIO(base64.b64decode(content))) as moving:
        assert (moving.n_frames, moving.info["loop"]) == (3, 0)
        assert moving.size == (64 + 4 + 64, 64)
        durations = []
        for number in range(3):
            moving.seek(number)
            moving.load()
            durations.append(moving.info["duration"])
    assert durations == [600, 600, 1800]


def test_what_comes_from_data_is_escaped(files):
    page = files.page.read_text()
    assert "a &lt;b&gt;brick&lt;/b&gt; room &amp; a barrel" in page
    assert "You &lt;stand&gt; in a hall." in page
    assert "--set &#x27;x=&lt;1&gt;&#x27;" in page
    assert "run &lt;1&gt;" in page
    assert "no &lt;planner&gt; yet" in page
    assert "&quot;&lt;wide&gt;&quot;" in page
    assert "<b>brick" not in page


def test_the_overview_is_a_picture(files):
    with Image.open(files.page.parent / "overview.png") as overview:
        assert overview.width > 1000
        assert overview.height > 300
        pixels = np.asarray(overview).astype(int)
    # The last band: below the truth's frames are those that are imagined, and none of the first.
    bottom = pixels[-2 * (PICTURE_PIXELS + GAP_PIXELS) - MARGIN_PIXELS - LINE_PIXELS :]
    bands = bottom[:, MARGIN_PIXELS + LABEL_PIXELS :].std((1, 2)) > 0
    frame = slice(MARGIN_PIXELS + LABEL_PIXELS, MARGIN_PIXELS + LABEL_PIXELS + PICTURE_PIXELS)
    assert bottom[:PICTURE_PIXELS, frame].std() > 5
    below = bottom[PICTURE_PIXELS + GAP_PIXELS : 2 * PICTURE_PIXELS, frame]
    assert (below == 255).all()
    assert bands.sum() > 2 * PICTURE_PIXELS - 10


def test_an_earlier_report_is_kept_unless_it_says_the_same(run_folder, evaluation, provenance):
    def tables() -> list[str]:
        return sorted(path.name for path in run_folder.glob("report*.json"))

    fewer = dataclasses.replace(evaluation, rows=evaluation.rows[:1])
    first = write_report(run_folder, evaluation, provenance)
    full, page = (path.read_text() for path in (first.table, first.page))
    slower = dataclasses.replace(evaluation, seconds={"text": 99.0})
    write_report(run_folder, slower, provenance)
    assert tables() == ["report.json"]
    write_report(run_folder, fewer, provenance)
    write_report(run_folder, evaluation, provenance)
    assert tables() == ["report-1.json", "report-2.json", "report.json"]
    kept = json.loads((run_folder / "report-1.json").read_text())
    assert kept["rows"] == json.loads(full)["rows"]
    assert len((run_folder / "report-1.html").read_text()) == pytest.approx(len(page), abs=200)
    assert len(json.loads((run_folder / "report-2.json").read_text())["rows"]) == 1
    assert (run_folder / "overview-1.png").is_file()


def test_a_number_that_is_not_finite_is_null_in_the_table(run_folder, evaluation, provenance):
    unknown = dataclasses.replace(evaluation.rows[0], standard_error=float("nan"))
    changed = dataclasses.replace(evaluation, rows=(unknown,))
    files = write_report(run_folder, changed, provenance)
    assert json.loads(files.table.read_text())["rows"][0]["standard_error"] is None
    assert "no standard error" in files.page.read_text()


def test_an_empty_run_and_evaluation_still_give_a_page(tmp_path, evaluation, provenance):
    empty = dataclasses.replace(evaluation, rows=(), flow_points=(), samples=())
    files = write_report(tmp_path, empty, provenance)
    assert "Make it again" in files.page.read_text()
    assert not (tmp_path / "overview.png").exists()


def test_a_folder_that_is_not_there_is_the_users_mistake(tmp_path, evaluation, provenance):
    with pytest.raises(UserError, match="cannot be written"):
        write_report(tmp_path / "nowhere", evaluation, provenance)
