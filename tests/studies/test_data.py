"""Cells that were run on other data are other cells; data that are gone are remembered."""

import shutil
from pathlib import Path

import pytest

from chiasm.data.source import SOURCES
from chiasm.errors import UserError
from chiasm.studies.cell import Order
from chiasm.studies.cells import expand
from chiasm.studies.data import DataFingerprints
from chiasm.studies.held_out import refuse_leaks
from chiasm.studies.settings import HELD_OUT, load_study


@pytest.fixture
def own_data(tiny_data: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    shutil.copytree(tiny_data, folder)
    return folder


def test_changed_files_make_other_cells(study_path, own_data: Path, tiny_data: Path, tmp_path):
    path = study_path()
    for file in (path, tmp_path / "recipe.toml"):
        file.write_text(file.read_text().replace(str(tiny_data), str(own_data)))
    study, folder = load_study(path), tmp_path / "study"
    kept = DataFingerprints(folder)
    before = expand(study, kept)
    kept.write()
    assert kept.changed == []
    assert [cell.key for cell in expand(study, DataFingerprints(folder))] == [
        cell.key for cell in before
    ]
    measures = Order.of(study, before[0], tmp_path).measures_key

    (own_data / "texts" / "3.txt").write_text("this is text 4 of forty, read here")
    now = DataFingerprints(folder)
    after = expand(study, now)
    assert now.changed == [str(own_data / "texts")]
    assert not {cell.key for cell in after} & {cell.key for cell in before}
    assert not {cell.inputs_key for cell in after} & {cell.inputs_key for cell in before}
    assert Order.of(study, after[0], tmp_path).measures_key != measures


def test_a_study_whose_data_are_gone_is_still_told(
    study_path, own_data: Path, tiny_data: Path, tmp_path
):
    path = study_path()
    for file in (path, tmp_path / "recipe.toml"):
        file.write_text(file.read_text().replace(str(tiny_data), str(own_data)))
    study, folder = load_study(path), tmp_path / "study"
    kept = DataFingerprints(folder)

    def keys(data: DataFingerprints | None) -> list[tuple[str, str]]:
        cells = expand(study, data)
        return [(cell.key, Order.of(study, cell, tmp_path).measures_key) for cell in cells]

    before = keys(kept)
    kept.write()
    shutil.rmtree(own_data)
    assert keys(DataFingerprints(folder)) == before
    assert not set(keys(None)) & set(before)


def test_rendered_worlds_have_no_files(tmp_path: Path):
    source = SOURCES.of("world").model_validate({"task": "text"})
    kept = DataFingerprints(tmp_path)
    assert kept.of([source]) == {}
    kept.write()
    assert not (tmp_path / "data.json").exists()


def test_a_report_shows_what_was_run_whatever_the_files_hold_by_now(
    study_path, own_data: Path, tiny_data: Path, tmp_path
):
    path = study_path()
    for file in (path, tmp_path / "recipe.toml"):
        file.write_text(file.read_text().replace(str(tiny_data), str(own_data)))
    study, folder = load_study(path), tmp_path / "study"
    kept = DataFingerprints(folder)
    before = [cell.key for cell in expand(study, kept)]
    kept.write()
    (own_data / "texts" / "3.txt").write_text("something else")
    as_planned = DataFingerprints(folder, as_planned=True)
    assert [cell.key for cell in expand(study, as_planned)] == before
    assert [cell.key for cell in expand(study, DataFingerprints(folder))] != before


def test_what_cells_train_on_is_not_measured_as_held_out(study_path, tiny_data: Path, tmp_path):
    study = load_study(study_path())
    cells = expand(study)
    leak = HELD_OUT.of("text").model_validate(
        {"path": str(tiny_data / "texts"), "held_out_fraction": 0.9, "documents": 4}
    )
    with pytest.raises(UserError, match=r"held_out\.mine\.held_out_fraction = 0\.9"):
        refuse_leaks([cell.recipe for cell in cells], {"mine": leak})
    fine = leak.model_copy(update={"held_out_fraction": 0.1})
    refuse_leaks([cell.recipe for cell in cells], {"mine": fine})
