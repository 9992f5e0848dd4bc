"""Cells that begin with a longer one's checkpoint learn what they learn alone, bit for bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chiasm.loop.metrics import read_metrics
from chiasm.studies.branches import Branch, branches, trained
from chiasm.studies.cell import Result, run_cell
from chiasm.studies.cells import expand
from chiasm.studies.planned import plan
from chiasm.studies.runner import run_study
from chiasm.studies.settings import load_study

STUDY = """
name = "lengths"
question = "What do more steps give?"
recipe = "recipe.toml"
seeds = [{seeds}]

[set]
"training.schedule.shape" = "{shape}"
"training.schedule.warmup_steps" = 2
"training.checkpoint_every_steps" = 5
"training.validate_every_steps" = 4
"model.width" = {width}

[[cells]]
name = "5 steps"
set = {{ "training.steps" = 5, "training.schedule.decay_steps" = 1 }}

[[cells]]
name = "10 steps"
set = {{ "training.steps" = 10 }}

[[cells]]
name = "20 steps"
set = {{ "training.steps" = 20 }}

[[cells]]
name = "20 steps, faster"
set = {{ "training.steps" = 20, "training.optimizer.learning_rate" = 2e-3 }}

[[metrics]]
name = "loss_text"
validation = "text_loss"
"""


@pytest.fixture
def lengths(tiny_recipe: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    def write(shape: str = "wsd", seeds: str = "0", width: int = 32) -> Path:
        tiny_recipe(tmp_path / "recipe.toml")
        path = tmp_path / "study.toml"
        path.write_text(STUDY.format(shape=shape, seeds=seeds, width=width))
        return path

    return write


def test_which_cells_begin_with_which(lengths) -> None:
    cells = expand(load_study(lengths()))
    short, middle, long, _ = cells
    found = branches(cells)
    assert found == {short.key: Branch(long.key, 4), middle.key: Branch(long.key, 8)}
    assert branches(cells, lambda cell, step: cell is not long) == {
        short.key: Branch(middle.key, 4)
    }
    amounts = {cell.key: float(cell.recipe.training.steps) for cell in cells}
    assert trained(cells, amounts) == 1 + 2 + 20 + 20
    path = lengths("cosine")
    path.write_text(path.read_text().replace(', "training.schedule.decay_steps" = 1', ""))
    assert not branches(expand(load_study(path)))
    of_each_seed = branches(expand(load_study(lengths(seeds="0, 1"))))
    assert len(of_each_seed) == 4
    assert len({branch.trunk for branch in of_each_seed.values()}) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("width", "seeds"), [(128, "0"), (32, "0, 1")])
def test_each_is_as_if_it_were_alone(lengths, tmp_path, here, width, seeds) -> None:
    """With two seeds of a narrow model those train together."""
    study = load_study(lengths(seeds=seeds, width=width))
    planned = plan(study, tmp_path / "out", measure_time=False)
    assert not run_study(planned, here).failed
    apart = plan(study, tmp_path / "alone", measure_time=False)
    for cell in planned.cells:
        apart.order(cell)
        run_cell(apart.folder_of(cell), tell=lambda line: None)
        shared, alone = (own.folder_of(cell) / "run" for own in (planned, apart))
        mine, theirs = (read_metrics(own / "metrics.jsonl") for own in (shared, alone))
        assert len(mine) == len(theirs)
        for own, other in zip(mine, theirs, strict=True):
            if seeds == "0":
                assert own == other
            assert (own["step"], own["phase"]) == (other["step"], other["phase"])
            assert own["text_loss"] == pytest.approx(other["text_loss"], rel=1e-3)
        assert not (shared / "checkpoints").exists()
        first, second = (Result.read(own.parent) for own in (shared, alone))
        assert (first.tokens, first.flops) == (second.tokens, second.flops)


@pytest.mark.slow
def test_where_the_longer_one_fails_others_begin_by_themselves(lengths, tmp_path, here) -> None:
    study = load_study(lengths())
    planned = plan(study, tmp_path / "out", measure_time=False)
    long, start = planned.cells[2], here.start

    def failing(job) -> None:
        if job.key == long.key:
            (job.folder / "log.txt").write_text("chiasm: broken\n")
            here._ended.append((job, 2))
        else:
            start(job)

    here.start = failing
    progress = run_study(planned, here)
    assert [job.key for job in progress.failed] == [long.key]
    assert len(progress.finished) == 3


@pytest.mark.slow
def test_a_second_call_begins_with_what_the_first_has_left(lengths, tmp_path, here) -> None:
    study = load_study(lengths())
    planned = plan(study, tmp_path / "out", measure_time=False)
    long, told = planned.cells[2], []
    planned.order(long, kept_steps=(4, 8))
    run_cell(planned.folder_of(long), tell=told.append)
    kept = planned.folder_of(long) / "run" / "checkpoints"
    assert {path.name for path in kept.iterdir()} == {"step-0000004", "step-0000008"}
    shutil.rmtree(kept / "step-0000004")
    progress = run_study(planned, here)
    assert not progress.failed
    assert not kept.exists()
    starts = {
        cell.name: read_metrics(planned.folder_of(cell) / "run" / "timing.jsonl")
        for cell in planned.cells
    }
    long_times = [line["seconds"] for line in starts["20 steps"]]
    assert [line["seconds"] for line in starts["10 steps"][:8]] == long_times[:8]
    assert starts["5 steps"][0]["seconds"] != long_times[0]
