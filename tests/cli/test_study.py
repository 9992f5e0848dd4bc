"""chiasm study: what its verbs say and write, from a plan to the page."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chiasm.cli import app
from chiasm.errors import UserError

STUDY = """
name = "widths"
recipe = "recipe.toml"
equal = "tokens"
[grid]
"model.width" = [16, 32, 16]
[[metrics]]
name = "text"
validation = "text_loss"
"""


@pytest.fixture
def study(tiny_recipe: Callable[..., Path], tmp_path: Path) -> Path:
    tiny_recipe(tmp_path / "recipe.toml", "training.steps=4")
    path = tmp_path / "widths.toml"
    path.write_text(STUDY.replace(", 16]", "]"))
    return path


def said(*words: str) -> str:
    result = CliRunner().invoke(app, ["study", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_from_plan_to_page(study: Path) -> None:
    out = study.parent / "out"
    where = (str(study), "--out", str(out))
    plan = said("plan", *where, "--slots", "2")
    assert "2 runs" in plan
    assert "CPU-hours" in plan
    said("run", *where)
    status = said("status", *where)
    assert "2 of 2 finished" in status
    assert "4/4" in status
    said("collect", *where)
    cells = json.loads((out / "cells.json").read_text())["cells"]
    assert [cell["cell"] for cell in cells] == ["model.width = 16", "model.width = 32"]
    assert all(cell["versions"]["threads"] >= 1 for cell in cells)
    assert not (out / "points.csv").exists(), "it is no IsoFLOP study"
    said("report", *where)
    assert f"chiasm study run {study} --out {out}" in (out / "report.html").read_text()


def test_what_only_slurm_has_is_named(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="are of Slurm; add --launcher slurm"):
        said("run", str(study), "--partition", "low")
    with pytest.raises(UserError, match="--time 4h is no time limit"):
        said("run", str(study), "--launcher", "slurm", "--time", "4h")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no squeue on this machine"):
        said("run", str(study), "--launcher", "slurm")


def test_mistakes_are_named(study: Path) -> None:
    with pytest.raises(UserError, match="does not exist; give a TOML file"):
        said("status", str(study.parent / "nothing.toml"))
    study.write_text(STUDY)
    with pytest.raises(UserError, match="has cells of one name"):
        said("plan", str(study), "--out", str(study.parent / "out"))
    with pytest.raises(UserError, match="is no cell of a study"):
        said("cell", str(study.parent))
