"""Cells in succession in one process: what each gives is what it gives alone."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from nursery import Forked

from chiasm.recipe import load_recipe
from chiasm.studies import slot
from chiasm.studies.cell import Result
from chiasm.studies.collect import last_step
from chiasm.studies.launcher import Job, LocalLauncher
from chiasm.studies.opened import Opened
from chiasm.studies.planned import Planned, plan
from chiasm.studies.settings import HELD_OUT, load_study

ALONE = {"seeds = [0, 1]": "seeds = [0]"}


@pytest.fixture
def launcher() -> Iterator[LocalLauncher]:
    one = LocalLauncher(1)
    yield one
    one.stop()


@pytest.fixture
def processes(monkeypatch) -> list[Forked]:
    """Those that slots begin."""
    begun: list[Forked] = []

    class Counted(Forked):
        def __init__(self, *args, **more) -> None:
            super().__init__(*args, **more)
            begun.append(self)

    monkeypatch.setattr(slot.subprocess, "Popen", Counted)
    return begun


def jobs(planned: Planned) -> list[Job]:
    """Its cells, ready to start."""
    for cell in planned.cells:
        planned.order(cell)
    return [Job(cell.key, planned.folder_of(cell)) for cell in planned.cells]


def status(launcher: LocalLauncher, job: Job) -> int:
    launcher.start(job)
    return end(launcher, job)


def end(launcher: LocalLauncher, job: Job) -> int:
    deadline = time.monotonic() + 300
    while not (ended := launcher.ended()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert [each for each, _ in ended] == [job]
    return ended[0][1]


def given(folder: Path) -> tuple[str, Sequence[bytes], object]:
    """What a cell's run wrote that no clock decides."""
    models = sorted((folder / "run" / "model").glob("*.safetensors"))
    assert models
    losses = (folder / "run" / "metrics.jsonl").read_text()
    return losses, [path.read_bytes() for path in models], Result.read(folder).metrics


@pytest.fixture(params=["users' files", "what is rendered"])
def two_cells(request, study_path, tiny_recipe) -> Path:
    """A study of them, which read data that are opened anew, or that stay open."""
    if request.param == "users' files":
        return study_path(**ALONE)
    manual = "sources = { manual = 1.0 }"
    fewer = f"name = \"with pictures\"\n{manual}\nset = {{ 'training.steps' = 5 }}"
    replaced = {"sources = { texts = 1.0 }": manual, 'name = "with pictures"': fewer}
    path = study_path(**ALONE, **replaced, **{'equal = "tokens"': ""})
    tiny_recipe(path.with_name("recipe.toml"), 'stream.sources.manual={kind="python_manual"}')
    return path


@pytest.mark.slow
def test_cells_of_one_process_equal_lone_ones(two_cells, tmp_path, launcher, processes):
    study = load_study(two_cells)
    orders = {}
    for name in ("alone", "in turn", "the other way round"):
        orders[name] = jobs(plan(study, tmp_path / name, measure_time=False))
    for job in orders["alone"]:
        command = [sys.executable, "-m", "chiasm", "study", "cell", str(job.folder)]
        subprocess.run(command, check=True, capture_output=True)
    processes.clear()
    for job in [*orders["in turn"], *reversed(orders["the other way round"])]:
        assert status(launcher, job) == 0
        assert str(job.folder) in (job.folder / "run" / "versions.json").read_text()
        assert "documents" in (job.folder / "log.txt").read_text()
    assert len(processes) == 1
    for one, *others in zip(*orders.values(), strict=True):
        for other in others:
            assert given(other.folder) == given(one.folder)
    assert given(orders["alone"][0].folder) != given(orders["alone"][1].folder)


@pytest.mark.slow
def test_what_ends_a_process_ends_one_cell(study_path, tmp_path, launcher, processes):
    endless = {
        'name = "with pictures"': "name = \"with pictures\"\nset = { 'training.steps' = 100000 }"
    }
    unequal = {'equal = "tokens"': ""}
    first, again, long, _ = jobs(
        plan(load_study(study_path(**endless, **unequal)), tmp_path / "out", measure_time=False)
    )
    (long.folder / "run").mkdir()
    (long.folder / "run" / "thesis.txt").write_text("years of work")
    assert status(launcher, first) == 0
    assert status(launcher, long) == 2
    assert "chiasm: " in (long.folder / "log.txt").read_text()
    (long.folder / "run" / "thesis.txt").unlink()

    launcher.start(long)
    while last_step(long.folder) < 2:
        time.sleep(0.02)
    processes[-1].send_signal(signal.SIGKILL)
    assert end(launcher, long) == -signal.SIGKILL

    shutil.rmtree(long.folder / "run")  # whose steps would be taken for those of the next process
    launcher.start(long)
    while last_step(long.folder) < 2:
        time.sleep(0.02)
    launcher.stop()
    assert processes[-1].returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM at step" in (long.folder / "log.txt").read_text()
    assert len(processes) == 3

    assert status(launcher, again) == 0
    processes[-1].kill()  # idle
    processes[-1].wait()
    (again.folder / "result.json").unlink()
    assert status(launcher, again) == 0
    assert len(processes) == 5


@pytest.mark.slow
def test_users_modules_are_left_to_one_cell(study_path, tmp_path, launcher, processes):
    (tmp_path / "own.py").write_text("import torch\ntorch.manual_seed(7)\n")
    path = study_path('set = { imports = ["own.py"] }', **ALONE)
    for job in jobs(plan(load_study(path), tmp_path / "out", measure_time=False)):
        assert status(launcher, job) == 0
    assert len(processes) == 2


def test_what_is_rendered_stays_open(study_path, tiny_data, tmp_path):
    recipe = load_recipe(study_path().with_name("recipe.toml"))
    manual = HELD_OUT.of("python_manual").model_validate({"kind": "python_manual"})
    opened = Opened(tmp_path)
    stream = recipe.stream.model_copy(update={"sources": {"manual": manual}})
    made = recipe.model_copy(update={"stream": stream})
    assert opened.material(made) is opened.material(made)
    assert opened.material(recipe) is not opened.material(recipe), "files of users may change"
    longer = stream.model_copy(update={"sequence_length": stream.sequence_length + 1})
    other = opened.material(recipe.model_copy(update={"stream": longer}))
    assert other is not opened.material(made)
