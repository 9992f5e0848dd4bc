"""Studies that are killed, fail, are retried and resumed; nothing finished is run again."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nursery import Forked

from chiasm.errors import UserError
from chiasm.loop.metrics import read_metrics
from chiasm.studies.cell import Result, run_cell
from chiasm.studies.cells import expand
from chiasm.studies.collect import State, collect, last_step
from chiasm.studies.launcher import LocalLauncher
from chiasm.studies.planned import cell_folder, plan
from chiasm.studies.runner import StudyProgress, run_study
from chiasm.studies.settings import load_study
from chiasm.studies.shared import only_process

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forked")]

LONG = {'name = "with pictures"': "name = \"with pictures\"\nset = { 'training.steps' = 100000 }"}
"""The second cell is still running when the first is finished."""

UNEQUAL = {'equal = "tokens"': "", "seeds = [0, 1]": "seeds = [0]"}


@contextmanager
def running(study: Path, out: Path, *options: str) -> Iterator[subprocess.Popen]:
    """chiasm study run in a process of its own, which does not outlive the test."""
    command = [sys.executable, "-m", "chiasm", "study", "run", str(study), "--out", str(out)]
    with Forked(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def states(study, out: Path) -> dict[str, State]:
    return {record.cell.title: record.state for record in collect(study, out)}


def wait_until(condition, process: subprocess.Popen, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def test_killed_in_the_middle_it_resumes_and_repeats_nothing(study_path, tmp_path):
    """SIGKILL the runner: its cells stop by themselves, and the next call goes on from there."""
    path, out = study_path(**LONG, **UNEQUAL), tmp_path / "out"
    study = load_study(path)
    short, long = (cell_folder(out, cell.key) for cell in expand(study))
    with running(path, out, "--slots", "2") as process:
        wait_until(lambda: (short / "result.json").exists() and last_step(long) > 5, process)
        process.send_signal(signal.SIGKILL)
    with only_process(long):  # it stops by itself, with a checkpoint
        pass
    finished, begun = collect(study, out)
    assert begun.state is State.BEGUN
    assert begun.step > 5
    result = (finished.folder / "result.json").stat()

    class EnoughError(Exception):
        pass

    def until_it_goes_on(progress: StudyProgress) -> None:
        assert [job.folder for job in progress.finished] == [short]
        if last_step(long) > begun.step + 5:
            raise EnoughError

    planned = plan(study, out, measure_time=False)
    with pytest.raises(EnoughError):
        run_study(planned, LocalLauncher(2), on_progress=until_it_goes_on)
    log = (long / "log.txt").read_text()
    assert "going on from step" in log
    assert "stopped by SIGTERM at step" in log
    after, resumed = collect(study, out)
    assert resumed.state is State.BEGUN
    same = (after.folder / "result.json").stat()
    assert (same.st_mtime_ns, same.st_ino) == (result.st_mtime_ns, result.st_ino)
    steps = [line["step"] for line in read_metrics(long / "run" / "metrics.jsonl")]
    assert list(dict.fromkeys(steps)) == list(range(1, resumed.step + 1))


def test_a_second_runner_is_refused(study_path, tmp_path, here):
    planned = plan(load_study(study_path()), tmp_path / "out", measure_time=False)
    with (tmp_path / "out" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("123")
        lock.flush()
        with pytest.raises(UserError, match=r"another runner \(process 123\) works on"):
            run_study(planned, here)
    assert here.started == []


def test_a_failed_cell_is_shown_and_retried(study_path, tmp_path, here):
    study, out = load_study(study_path(**UNEQUAL)), tmp_path / "out"
    planned = plan(study, out, measure_time=False)
    bad, good = planned.cells
    thesis = planned.folder_of(bad) / "run" / "thesis.txt"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("years of work")

    progress = run_study(planned, LocalLauncher(2))
    assert [job.key for job in progress.finished] == [good.key]
    assert [job.key for job in progress.failed] == [bad.key]
    failed, fine = collect(study, out)
    assert (failed.state, fine.state) == (State.FAILED, State.FINISHED)
    assert "exit status 2" in failed.error
    assert "holds no run" in failed.error

    assert not run_study(planned, here).finished[1:], "it is not retried unasked"
    assert here.started == []
    thesis.unlink()
    progress = run_study(planned, here, retry_failed=True)
    assert here.started == [bad.key]
    assert not progress.failed
    assert set(states(study, out).values()) == {State.FINISHED}
    assert not (failed.folder / "failed.json").exists()


def test_other_measures_are_taken_without_training_again(study_path, tmp_path, here):
    out = tmp_path / "out"
    run_study(plan(load_study(study_path(**UNEQUAL)), out, measure_time=False), here)
    more = {
        'name = "last validation"': 'name = "flow"\nvalidation = "flow_loss"\n\n[[metrics]]\n'
        'name = "last validation"'
    }
    assert collect(load_study(study_path(**UNEQUAL)), out)[1].state is State.FINISHED
    sizes = load_study(study_path("set = { 'evaluation.seed' = 1 }", **UNEQUAL))
    assert collect(sizes, out)[1].state is State.OUTDATED, "measured with other noise"
    only = {'name = "texts alone"\nsources = { texts = 1.0 }': 'name = "texts alone"'}
    study = load_study(study_path(**UNEQUAL, **more, **only))
    pictures = collect(study, out)[1]
    assert pictures.state is State.OUTDATED
    assert pictures.metric("last validation") is None, "measures are not mixed"
    trained = Result.read(pictures.folder).seconds["training"]
    before = (pictures.folder / "run" / "metrics.jsonl").read_bytes()
    run_study(plan(study, out, measure_time=False), here)
    pictures = collect(study, out)[1]
    assert pictures.state is State.FINISHED
    assert pictures.metric("flow") > 0
    assert pictures.result.seconds["training"] == trained > 0
    assert (pictures.folder / "run" / "metrics.jsonl").read_bytes() == before


def test_seeds_train_with_the_first_of_them(study_path, tmp_path, here):
    """The others are measured when their turn comes; alone, each gives the same losses."""
    study, out = load_study(study_path()), tmp_path / "out"
    found, start = [], here.start

    def started(job) -> None:
        found.append((job.folder / "run" / "model").exists())
        start(job)

    here.start = started
    planned = plan(study, out, measure_time=False)
    assert not run_study(planned, here).failed
    assert found == [False, True, False, True]
    alone = plan(study, tmp_path / "alone", measure_time=False)
    for cell in planned.cells:
        alone.order(cell)
        run_cell(alone.folder_of(cell), tell=lambda line: None)
        lone, together = (Result.read(each.folder_of(cell)) for each in (alone, planned))
        assert (lone.tokens, lone.flops) == (together.tokens, together.flops)
        assert together.seconds["training"] > 0
        for name, value in lone.metrics.items():
            assert together.metrics[name]["value"] == pytest.approx(value["value"], rel=1e-4)


def test_every_slot_is_filled_and_none_twice(study_path, tmp_path):
    """Two slots and four cells, seen from a launcher that ends jobs one by one."""

    class Counting:
        slots = 2

        def __init__(self) -> None:
            self.running, self.most, self.order = [], 0, []

        def start(self, job) -> None:
            assert not any(job.key in other.beside for other in self.running)
            self.running.append(job)
            self.order.append(job.key)
            self.most = max(self.most, len(self.running))

        def ended(self):
            return [(self.running.pop(0), -signal.SIGKILL)] if self.running else []

        def stop(self) -> None:
            assert not self.running

    planned = plan(load_study(study_path()), tmp_path / "out", measure_time=False)
    launcher = Counting()
    progress = run_study(planned, launcher)
    assert launcher.most == 2
    assert sorted(launcher.order) == sorted(cell.key for cell in planned.cells)
    flops = [planned.costs[key].flops for key in launcher.order]
    assert flops[0] > flops[1], "the longest first"
    assert flops[2] > flops[3], "and so of the seeds that wait for these"
    assert all(error.startswith("(killed by signal 9)") for error in progress.failed.values())


def test_one_process_works_on_a_cell(study_path, tmp_path):
    study, out = load_study(study_path()), tmp_path / "out"
    planned = plan(study, out, measure_time=False)
    planned.order(planned.cells[0])
    with (planned.folder_of(planned.cells[0]) / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert states(study, out)["texts alone, seed 0"] is State.RUNNING
    assert states(study, out)["texts alone, seed 0"] is State.MISSING


def test_a_failure_at_other_measures_is_not_held_against_a_cell(study_path, tmp_path, here):
    wrong = study_path(
        **UNEQUAL, **{'validation = "text_loss"': 'validation = "text_loss/stories"'}
    )
    study, out = load_study(wrong), tmp_path / "out"
    assert len(run_study(plan(study, out, measure_time=False), here).failed) == 2
    assert {record.state for record in collect(study, out)} == {State.FAILED}
    mended = load_study(study_path(**UNEQUAL))
    assert State.FAILED not in {record.state for record in collect(mended, out)}
    progress = run_study(plan(mended, out, measure_time=False), here)
    assert (len(progress.finished), len(progress.failed)) == (2, 0)
