"""Jobs: their script, what their ranks find, and how they end or go back into the queue."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chiasm.errors import UserError
from chiasm.slurm import Resources, SlurmJob, cancel, interrupt, queued, seconds_of

PROBE = """
import json, os, signal, sys, time
from pathlib import Path
folder = Path({folder!r})
names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
rank = os.environ["RANK"]
attempt = len(list(folder.glob(f"rank-{{rank}}-*")))
aside = folder / f"aside-{{rank}}"
aside.write_text(json.dumps({{name: os.environ.get(name) for name in names}}))
{before}
aside.rename(folder / f"rank-{{rank}}-{{attempt}}")
{then}
"""
"""Imported before the command of a job, it notes what a rank finds, and ends it."""

STOPPABLE = "\n".join(
    f"signal.signal(signal.{name}, lambda number, frame: os._exit(128 + number))"
    for name in ("SIGTERM", "SIGINT")
)
WAITS = "while True: time.sleep(0.02)"
ENDS = "os._exit({})"


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., SlurmJob]:
    """A job whose ranks do this."""

    def job(then: str, before: str = "", **resources: Any) -> SlurmJob:
        probe = tmp_path / "probe.py"
        probe.write_text(PROBE.format(folder=str(tmp_path), before=before, then=then))
        words = ["--import", str(probe), "train", "nothing.toml"]
        folder = tmp_path / "of a job"
        return SlurmJob("a name", words, folder, folder / "100% log", Resources(**resources))

    return job


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def found(folder: Path, attempt: int = 0) -> list[dict[str, str]]:
    """What the ranks of an attempt found, in their order."""
    paths = sorted(folder.glob(f"rank-*-{attempt}"))
    return [json.loads(path.read_text()) for path in paths]


def options(job: SlurmJob) -> list[str]:
    lines = [line for line in job.script().splitlines() if line.startswith("#SBATCH ")]
    return [word for line in lines for word in shlex.split(line.removeprefix("#SBATCH "))]


def test_the_script_asks_for_what_was_given(job: Callable[..., SlurmJob], tmp_path: Path) -> None:
    own = job("", nodes=2, ranks_per_node=8, partition="big", time="1-0", options=("--nice=7",))
    asked = options(own)
    assert "--job-name=a name" in asked
    assert {"--nodes=2", "--ntasks-per-node=8", "--partition=big", "--time=1-0"} <= set(asked)
    assert {"--requeue", "--open-mode=append", f"--chdir={Path.cwd()}"} <= set(asked)
    assert f"--output={tmp_path}/of a job/100%% log" in asked, "a % would be a pattern of sbatch"
    assert "--signal=TERM@300" in asked, "with B: the script alone would get it"
    assert asked[-1] == "--nice=7", "the last of two options wins"
    subprocess.run(["bash", "-n"], input=own.script(), text=True, check=True)
    plain = options(job(""))
    assert not [word for word in plain if word.startswith(("--partition", "--time"))]


@pytest.mark.parametrize(("time", "before"), [("04:00:00", 300), ("10", 150), ("2:00", 30)])
def test_ranks_are_told_early_enough(job: Callable[..., SlurmJob], time: str, before: int) -> None:
    assert f"--signal=TERM@{before}" in options(job("", time=time))


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("30", 1800),
        ("30:15", 1815),
        ("1:30:15", 5415),
        ("2-3", 183600),
        ("2-3:04", 183840),
        ("2-3:04:05", 183845),
    ],
)
def test_time_limits(time: str, seconds: int) -> None:
    assert seconds_of(time) == seconds


@pytest.mark.parametrize("time", ["", "4h", "1:2:3:4", "1-", "-5", "1-2:3:4:5", "04:00:00\n"])
def test_what_is_no_time_limit(time: str) -> None:
    with pytest.raises(UserError, match=r"is no time limit; write minutes"):
        Resources(time=time)


def test_what_is_no_resource() -> None:
    with pytest.raises(UserError, match=r"--time 1:59: a job needs 120 s at least"):
        Resources(time="1:59")
    with pytest.raises(UserError, match=r"--sbatch 'h200' is no option of sbatch"):
        Resources(options=("h200",))
    with pytest.raises(UserError, match=r"is no option of sbatch"):
        Resources(options=("--nice=1\nrm -r /",))


@pytest.mark.slow
def test_ranks_find_each_other(job: Callable[..., SlurmJob], slurm: Any, tmp_path: Path) -> None:
    own = job(ENDS.format(0), nodes=2, ranks_per_node=2)
    assert (own.last, own.status) == (None, None)
    number = own.submit()
    assert own.last == number
    wait_until(lambda: own.status is not None)
    wait_until(lambda: not queued())
    assert own.status == 0
    ranks = found(tmp_path)
    assert [each["RANK"] for each in ranks] == ["0", "1", "2", "3"]
    assert [each["LOCAL_RANK"] for each in ranks] == ["0", "1", "0", "1"]
    assert {(each["WORLD_SIZE"], each["LOCAL_WORLD_SIZE"]) for each in ranks} == {("4", "2")}
    assert {each["MASTER_ADDR"] for each in ranks} == {"localhost"}
    assert {each["MASTER_PORT"] for each in ranks} == {str(10000 + number)}


@pytest.mark.slow
def test_pre_empted_it_goes_back_into_the_queue(
    job: Callable[..., SlurmJob], slurm: Any, tmp_path: Path
) -> None:
    own = job(f"if attempt: os._exit(0)\n{WAITS}", STOPPABLE, ranks_per_node=2)
    number = own.submit()
    wait_until(lambda: len(found(tmp_path)) == 2)
    slurm.cancel(number, signal="TERM")
    wait_until(lambda: own.status is not None)
    assert own.status == 0
    assert len(found(tmp_path, attempt=1)) == 2
    log = own.log.read_text()
    assert f"job {number}, attempt 1" in log
    assert f"job {number}, attempt 2" in log
    assert slurm.submitted() == 1


@pytest.mark.slow
def test_only_once_where_the_cluster_does_not_queue_again(
    job: Callable[..., SlurmJob], slurm: Any, tmp_path: Path
) -> None:
    (slurm.folder / "no-requeue").touch()
    own = job(WAITS, STOPPABLE)
    number = own.submit()
    wait_until(lambda: found(tmp_path))
    slurm.cancel(number, signal="TERM")
    wait_until(lambda: own.status is not None)
    assert own.status == 128 + signal.SIGTERM
    assert "presently disabled" in own.log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("status", [2, 1])
def test_a_mistake_or_a_defect_ends_it(
    job: Callable[..., SlurmJob], slurm: Any, tmp_path: Path, status: int
) -> None:
    own = job(ENDS.format(status))
    own.submit()
    wait_until(lambda: own.status is not None)
    wait_until(lambda: not queued())
    assert own.status == status
    assert not found(tmp_path, attempt=1)


@pytest.mark.slow
def test_interrupted_it_ends(job: Callable[..., SlurmJob], slurm: Any, tmp_path: Path) -> None:
    own = job(WAITS, STOPPABLE)
    number = own.submit()
    wait_until(lambda: found(tmp_path))
    interrupt([number])
    wait_until(lambda: own.status is not None)
    wait_until(lambda: not queued())
    assert own.status == 128 + signal.SIGINT
    assert not found(tmp_path, attempt=1)


@pytest.mark.slow
def test_cancelled_it_does_not_come_back(
    job: Callable[..., SlurmJob], slurm: Any, tmp_path: Path
) -> None:
    """The ranks end with 143 as if they were pre-empted, but the script is gone."""
    own = job(WAITS, STOPPABLE)
    number = own.submit()
    wait_until(lambda: found(tmp_path))
    cancel([number], waiting=True)
    assert queued() == {number}, "it does not wait"
    cancel([number])
    wait_until(lambda: not queued())
    assert own.status is None
    assert not found(tmp_path, attempt=1)


def test_a_waiting_job_is_cancelled(job: Callable[..., SlurmJob], slurm: Any) -> None:
    (slurm.folder / "hold").touch()
    own = job(WAITS)
    number = own.submit()
    interrupt([number])
    assert queued() == {number}
    cancel([number], waiting=True)
    wait_until(lambda: not queued())
    assert own.status is None


@pytest.mark.slow
def test_the_status_is_that_of_the_last_job(job: Callable[..., SlurmJob], slurm: Any) -> None:
    first = job(ENDS.format(2))
    first.submit()
    wait_until(lambda: first.status is not None)
    (slurm.folder / "hold").touch()
    second = job(ENDS.format(0))
    assert second.submit() == 2
    assert second.status is None


def test_mistakes_are_told(
    job: Callable[..., SlurmJob], slurm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"sbatch refuses: .*invalid partition specified: absent"):
        job("", partition="absent").submit()
    (slurm.folder / "deaf").touch()
    with pytest.raises(UserError, match=r"squeue refuses: .*Unable to contact"):
        queued()
    monkeypatch.setenv("PATH", str(slurm.folder))
    with pytest.raises(UserError, match=r"there is no sbatch on this machine; run it where"):
        job("").submit()
