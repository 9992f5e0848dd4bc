"""What a study found, while cells are missing and when all are there: JSON, points, page."""

import json
import re
import shutil
from dataclasses import replace

import pytest

from chiasm.errors import UserError
from chiasm.scaling.checks import check_points
from chiasm.scaling.points import read_points, write_points
from chiasm.studies.collect import collect, points, write_cells
from chiasm.studies.page import FIGURE, write_study_report
from chiasm.studies.planned import plan
from chiasm.studies.runner import run_study
from chiasm.studies.settings import load_study
from chiasm.studies.table import compare

pytestmark = pytest.mark.slow


@pytest.fixture
def finished(finished_study, tmp_path):
    """A study whose four cells ran, and a copy of its folder."""
    study, out = finished_study
    return study, shutil.copytree(out, tmp_path / "out")


def test_everything_that_was_found_is_written(finished):
    study, out = finished
    records = collect(study, out)
    write_cells(study, records, out / "cells.json")
    cells = json.loads((out / "cells.json").read_text())["cells"]
    assert [(cell["cell"], cell["seed"], cell["state"]) for cell in cells] == [
        ("texts alone", 0, "finished"),
        ("texts alone", 1, "finished"),
        ("with pictures", 0, "finished"),
        ("with pictures", 1, "finished"),
    ]
    assert set(cells[0]["metrics"]) == {"loss_text", "loss_vision", "last validation"}
    assert cells[0]["flops"] == pytest.approx(cells[0]["planned"]["flops"], rel=0.01)
    assert len({cell["validation"] for cell in cells}) == 1
    assert len({cell["tokenizer"] for cell in cells}) == 1

    write_points(points(study, records), out / "points.csv")
    table = read_points(out / "points.csv").points
    assert [point.budget_flops for point in table] == [1e8] * 4
    assert table[0].losses["text"] == cells[0]["metrics"]["loss_text"]["value"]
    assert table[0].vision_tokens == 0
    assert table[2].text_tokens + table[2].vision_tokens == table[2].tokens

    files = write_study_report(study, records, out, "chiasm study run study.toml")
    found = json.loads(files.table.read_text())
    text, _ = (entry for entry in found["entries"] if entry["metric"] == "loss_text")
    values = [cell["metrics"]["loss_text"]["value"] for cell in cells[:2]]
    assert text["mean"]["value"] == pytest.approx(sum(values) / 2)
    assert text["mean"]["standard_error"] == pytest.approx(abs(values[0] - values[1]) / 2)
    assert text["difference"] is None
    assert found["entries"][1]["published_difference"] == pytest.approx(0.1)
    page = files.page.read_text()
    assert page.count("<svg") == 1
    assert "Do pictures hurt &lt;texts&gt;?" in page
    assert "a paper, figure 5" in page
    assert "chiasm study run study.toml" in page
    assert f"chiasm study cell {records[0].folder}" in page
    assert "NaN" not in page
    assert "mean TF-IDF vector" in page

    text = (out / "report.md").read_text()
    assert f"]({FIGURE})" in text
    assert (out / FIGURE).read_text().startswith("<svg")
    tables = [line.split(" | ") for line in text.splitlines() if line.startswith("| with pictures")]
    assert [len(row) for row in tables] == [5, 4, 4], "one metric has published values"
    assert "a paper, figure 5" in tables[0][4]
    assert "mean TF-IDF vector" in text
    assert "made again by `chiasm study run study.toml`" in text


def test_points_of_a_study_that_is_not_finished_are_refused_by_a_fit(finished):
    study, out = finished
    (collect(study, out)[3].folder / "result.json").unlink()
    table = out / "points.csv"
    write_points(points(study, collect(study, out)), table)
    read = read_points(table).points
    assert len(read) == 4
    lacking = "cell with pictures, seed 1: loss_text is not a number"
    with pytest.raises(UserError, match=lacking) as told:
        check_points(read)
    assert str(told.value).count("is not a number") == 2, "of each modality, and of no other cell"
    for record in collect(study, out):
        (record.folder / "result.json").unlink(missing_ok=True)
    with pytest.raises(UserError, match="no cell is finished"):
        points(study, collect(study, out))


def test_missing_and_failed_cells_are_shown(study_path, tmp_path, here):
    study, out = load_study(study_path()), tmp_path / "out"
    planned = plan(study, out, measure_time=False)
    files = write_study_report(study, collect(study, out), out, "chiasm study run")
    assert "0 of 4" in files.page.read_text()

    thesis = planned.folder_of(planned.cells[0]) / "run" / "thesis.txt"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("<years> of work")
    run_study(planned, here)
    records = collect(study, out)
    files = write_study_report(study, records, out, "chiasm study run")
    page, found = files.page.read_text(), json.loads(files.table.read_text())
    assert "3 of 4" in page
    assert "holds no run" in page
    assert found["states"]["texts alone, seed 0"] == "failed"
    alone, both = found["entries"][:2]
    assert (len(alone["values"]), len(both["values"])) == (1, 2)
    assert alone["mean"]["half_width"] is None
    assert both["difference"]["num_seeds"] == 1, "paired over the seed that both have"
    assert both["verdict"] == "not separated"


def test_a_loss_that_is_no_number_is_a_named_error(study_path, tmp_path, here):
    study, out = load_study(study_path(**{"seeds = [0, 1]": "seeds = [0]"})), tmp_path / "out"
    planned = plan(study, out, measure_time=False)
    run_study(planned, here)
    folder = planned.folder_of(planned.cells[0])
    (folder / "result.json").unlink()
    metrics = folder / "run" / "metrics.jsonl"  # where a loss that is not finite becomes null
    metrics.write_text(re.sub('"text_loss": [^,]+', '"text_loss": null', metrics.read_text()))
    progress = run_study(planned, here)
    (error,) = progress.failed.values()
    assert error.startswith("(exit status 2)")
    assert "metric 'last validation' is nan: the run diverged" in error


def test_cells_of_a_budget_are_held_against_the_first_of_it(finished):
    study, out = finished
    records = [
        replace(record, cell=replace(record.cell, name=f"{budget}: {name}", budget_flops=budget))
        for budget in (1e9, 2e9)
        for record in collect(study, out)
        for name in [record.cell.name]
    ]
    entries = compare(study, records)
    compared = {entry.cell: entry.difference is not None for entry in entries}
    assert compared == {
        "1000000000.0: texts alone": False,
        "1000000000.0: with pictures": True,
        "2000000000.0: texts alone": False,
        "2000000000.0: with pictures": True,
    }
    first, second = (entry for entry in entries[:4] if entry.difference is not None)
    assert first.difference == second.difference
