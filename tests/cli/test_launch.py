"""chiasm launch: what it writes, says and refuses; a pre-empted run equals an uninterrupted one."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chiasm.cli import app
from chiasm.errors import UserError
from chiasm.loop.metrics import read_metrics
from chiasm.recipe import load_recipe

STEPS = 50


def said(*words: str) -> str:
    result = CliRunner().invoke(app, ["launch", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def last_step(run: Path) -> int:
    return max((line["step"] for line in read_metrics(run / "metrics.jsonl")), default=0)


@pytest.fixture
def recipe(tiny_recipe: Callable[..., Path], tmp_path: Path) -> Path:
    return tiny_recipe(tmp_path / "recipe.toml", "stream.lanes=2")


def test_a_dry_run_shows_the_script_and_does_nothing(recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    script = said(str(recipe), "--out", str(run), "--nodes", "2", "--dry-run")
    assert script.startswith("#!/bin/bash\n#SBATCH --job-name=tiny\n#SBATCH --nodes=2\n")
    assert f"-m chiasm train {run}/slurm/recipe.toml --out {run}" in script
    assert not run.exists()


def test_the_job_is_of_the_recipe_as_it_was(recipe: Path, tmp_path: Path, slurm: Any) -> None:
    (slurm.folder / "hold").touch()
    run = tmp_path / "run"
    told = said(str(recipe), "--out", str(run), "--set", "training.steps=7")
    assert "job 1 is in the queue" in told
    assert f"its log: {run}/slurm/log.txt" in told
    assert "scancel --signal=INT 1 " in told
    recipe.write_text("")
    assert load_recipe(run / "slurm" / "recipe.toml").training.steps == 7


def test_mistakes_are_told_and_nothing_is_submitted(
    recipe: Path, tmp_path: Path, slurm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = (str(recipe), "--out", str(tmp_path / "run"))
    with pytest.raises(UserError, match=r"unknown setting model\.widht"):
        said(*where, "--set", "model.widht=8")
    with pytest.raises(UserError, match="--time 4h is no time limit"):
        said(*where, "--time", "4h")
    with pytest.raises(UserError, match="invalid partition specified: absent"):
        said(*where, "--partition", "absent")
    assert not slurm.submitted()
    (slurm.folder / "hold").touch()
    said(*where)
    with pytest.raises(UserError, match=r"job 1 trains .*run or waits to do so; scancel 1 ends it"):
        said(*where)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="holds no run"):
        said(str(recipe), "--out", str(tmp_path / "thesis"))
    assert slurm.submitted() == 1
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no squeue on this machine"):
        said(str(recipe), "--out", str(tmp_path / "other"))
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_pre_empted_two_ranks_go_on(recipe: Path, tmp_path: Path, slurm: Any) -> None:
    options = ("--ranks-per-node", "2", "--set", f"training.steps={STEPS}")
    lone, run = tmp_path / "lone", tmp_path / "pre-empted"
    said(str(recipe), "--out", str(lone), *options)
    said(str(recipe), "--out", str(run), *options)
    wait_until(lambda: last_step(run) >= 5)
    slurm.cancel(2, signal="TERM")
    wait_until(lambda: all((each / "slurm" / "ended").exists() for each in (lone, run)))
    log = (run / "slurm" / "log.txt").read_text()
    assert (run / "slurm" / "ended").read_text() == "2 0\n", log
    assert "stopped by SIGTERM at step" in log
    assert "going on from step" in log
    assert (run / "model").is_dir()
    assert last_step(run) == STEPS
    found = [(each / "metrics.jsonl").read_text() for each in (lone, run)]
    assert found[0] == found[1]
