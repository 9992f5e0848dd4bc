"""Cells as jobs: pre-empted, left behind by a runner, lost, stopped; results are the local ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chiasm.errors import UserError
from chiasm.slurm import Resources, queued
from chiasm.studies import cluster
from chiasm.studies.cell import Result
from chiasm.studies.cluster import SlurmLauncher
from chiasm.studies.collect import last_step
from chiasm.studies.launcher import Job, LocalLauncher
from chiasm.studies.planned import plan
from chiasm.studies.runner import StudyProgress, run_study
from chiasm.studies.settings import StudySettings, load_study

STUDY = """
name = "seeds"
recipe = "recipe.toml"
seeds = [0, 1]
[[cells]]
name = "one"
[[metrics]]
name = "text"
validation = "text_loss"
"""


@pytest.fixture
def study(tiny_recipe: Callable[..., Path], tmp_path: Path) -> StudySettings:
    """One cell with two seeds."""
    tiny_recipe(tmp_path / "recipe.toml", "training.steps=60")
    (tmp_path / "study.toml").write_text(STUDY)
    return load_study(tmp_path / "study.toml")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-ins do not mind being asked often; but every question takes a core's time."""
    monkeypatch.setattr(cluster, "QUEUE_SECONDS", 0.5)
    monkeypatch.setattr(cluster, "FILES_SECONDS", 0.1)


@pytest.fixture
def launcher(slurm: Any) -> SlurmLauncher:
    return SlurmLauncher(2, Resources())


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A cell without an order: its process ends with status 2."""
    folder = tmp_path / "cells" / "cell"
    folder.mkdir(parents=True)
    return Job("cell", folder)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def end(launcher: SlurmLauncher) -> list[tuple[Job, int]]:
    ended: list[tuple[Job, int]] = []
    wait_until(lambda: ended.extend(launcher.ended()) or ended)
    return ended


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_a_pre_empted_study_gives_what_it_gives_locally(
    study: StudySettings, tmp_path: Path, slurm: Any
) -> None:
    """Its two seeds train together, and do so again; the second is measured in a job of its own."""
    told = []

    def once(progress: StudyProgress) -> None:
        if not told and any(last_step(job.folder) >= 5 for job in progress.running):
            told.append(slurm.running()[0])
            slurm.cancel(*told, signal="TERM")

    there = plan(study, tmp_path / "cluster", measure_time=False)
    progress = run_study(there, SlurmLauncher(1, Resources()), on_progress=once)
    assert not progress.failed, progress.failed
    logs = [(there.folder_of(cell) / "log.txt").read_text() for cell in there.cells]
    first, second = sorted(logs, key=len, reverse=True)
    assert "2 seeds train together" in first
    assert "stopped by SIGTERM at step" in first
    assert "attempt 2" in first
    assert "going on from step" in first
    assert "attempt 2" not in second
    assert slurm.submitted() == 2, "a cell that is pre-empted is not submitted anew"
    here = plan(study, tmp_path / "here", measure_time=False)
    assert not run_study(here, LocalLauncher(1)).failed
    for cell in there.cells:
        one, other = (Result.read(each.folder_of(cell)) for each in (there, here))
        assert one is not None
        assert other is not None
        assert one.metrics == other.metrics
        assert (one.tokens, one.flops) == (other.tokens, other.flops)


@pytest.mark.slow
def test_a_mistake_ends_a_cell(job: Job, launcher: SlurmLauncher) -> None:
    launcher.start(job)
    assert end(launcher) == [(job, 2)]
    assert "chiasm: recipe" in (job.folder / "log.txt").read_text()


@pytest.mark.slow
def test_the_next_runner_takes_over_what_is_there(
    job: Job, launcher: SlurmLauncher, slurm: Any
) -> None:
    (slurm.folder / "hold").touch()
    launcher.start(job)
    other = SlurmLauncher(2, Resources())
    other.start(job)
    assert slurm.submitted() == 1
    (slurm.folder / "hold").unlink()
    assert end(other) == [(job, 2)]
    (slurm.folder / "hold").touch()
    other.start(job)
    assert slurm.submitted() == 2, "it had ended"
    assert not (job.folder / "log.txt").exists()


def test_a_lost_job_is_told_and_a_silent_queue_loses_none(
    job: Job, launcher: SlurmLauncher, slurm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("QUEUE_SECONDS", "FILES_SECONDS", "LOST_SECONDS"):
        monkeypatch.setattr(cluster, name, 0.0)
    (slurm.folder / "hold").touch()
    launcher.start(job)
    (slurm.folder / "deaf").touch()
    assert [launcher.ended() for _ in range(3)] == [[], [], []]
    (slurm.folder / "deaf").unlink()
    assert launcher.ended() == []
    slurm.cancel(1)
    wait_until(lambda: not queued())
    monkeypatch.setattr(cluster, "LOST_SECONDS", 1e9)
    assert launcher.ended() == [], "its exit status may not be seen yet"
    monkeypatch.setattr(cluster, "LOST_SECONDS", 0.0)
    assert launcher.ended() == [(job, 1)]
    assert "chiasm: job 1 has left the queue" in (job.folder / "log.txt").read_text()


@pytest.mark.slow
def test_stopped_cells_save_and_those_that_wait_are_cancelled(
    study: StudySettings, tmp_path: Path, slurm: Any
) -> None:
    endless = study.model_copy(update={"set": {**study.set, "training.steps": 100000}})
    planned = plan(endless, tmp_path / "out", measure_time=False)
    first, second = [Job(cell.key, planned.folder_of(cell)) for cell in planned.cells]
    for cell in planned.cells:
        planned.order(cell)
    launcher = SlurmLauncher(2, Resources())
    launcher.start(first)
    wait_until(lambda: last_step(first.folder) >= 3)
    (slurm.folder / "hold").touch()
    launcher.start(second)
    assert len(queued()) == 2
    launcher.stop()
    assert queued() == set()
    assert launcher.ended() == []
    assert "stopped by SIGINT at step" in (first.folder / "log.txt").read_text()
    assert list((first.folder / "run" / "checkpoints").glob("step-*"))
    assert not (second.folder / "run").exists()


def test_a_refused_job_is_told(job: Job, slurm: Any) -> None:
    with pytest.raises(UserError, match="invalid partition specified"):
        SlurmLauncher(1, Resources(partition="absent")).start(job)
