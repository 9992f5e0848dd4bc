"""sbatch, squeue, scancel, scontrol and srun of one machine, by the name that is its first word.

It runs batch scripts as Slurm does as far as chiasm relies on it: signals reach the tasks of a job
and all their children but not its script, a job may go back into the queue, and only what is in the
queue is known. Its state is in the folder ``STAND_IN_SLURM``, where ``hold`` keeps jobs waiting,
``deaf`` lets squeue fail and ``no-requeue`` forbids going back. Of a job, ``jobs/NUMBER`` has

    job.sh, environment.json    what was submitted
    running                     process group of the script; absent while the job waits
    tasks/                      process groups of its tasks
    requeue, cancelled          what it was told
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

STATE = Path(os.environ["STAND_IN_SLURM"])
JOBS = STATE / "jobs"


def sbatch(*words: str) -> int:
    script = Path(words[-1])
    asked = options(script)
    if asked.get("partition") == "absent":
        print("sbatch: error: invalid partition specified: absent", file=sys.stderr)
        return 1
    number = len(list(STATE.glob("given-*"))) + 1
    (STATE / f"given-{number}").touch()
    job = JOBS / str(number)
    job.mkdir(parents=True)
    shutil.copy(script, job / "job.sh")
    (job / "environment.json").write_text(json.dumps(dict(os.environ)))
    subprocess.Popen(
        [sys.executable, "-S", __file__, "control", str(number)],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    print(number)
    return 0


def options(script: Path) -> dict[str, str]:
    lines = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH ")]
    words = [shlex.split(line.removeprefix("#SBATCH "))[0] for line in lines]
    return {name.lstrip("-"): value for name, _, value in (word.partition("=") for word in words)}


def control(number: str) -> int:
    """The controller of one job, from its submission to its end."""
    job = JOBS / number
    asked = options(job / "job.sh")
    environment = json.loads((job / "environment.json").read_text()) | {
        "SLURM_JOB_ID": number,
        "SLURM_JOB_NODELIST": "localhost",
        "SLURM_NTASKS": str(int(asked["nodes"]) * int(asked["ntasks-per-node"])),
        "SLURM_NTASKS_PER_NODE": asked["ntasks-per-node"],
    }
    attempt = 0
    while not (job / "cancelled").exists():
        if (STATE / "hold").exists():
            time.sleep(0.02)
            continue
        (job / "tasks").mkdir()
        with Path(asked["output"].replace("%%", "%")).open("ab") as log:
            script = subprocess.Popen(
                ["bash", str(job / "job.sh")],
                env=environment | ({"SLURM_RESTART_COUNT": str(attempt)} if attempt else {}),
                cwd=asked["chdir"],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (job / "running").write_text(str(script.pid))
        script.wait()
        kill(job, signal.SIGKILL)
        (job / "running").unlink()
        shutil.rmtree(job / "tasks")
        if not (job / "requeue").exists():
            break
        (job / "requeue").unlink()
        attempt += 1
    shutil.rmtree(job)
    return 0


def srun(*words: str) -> int:
    from nursery import Forked  # the other commands are asked often, and begin without it

    command = list(words[next(n for n, word in enumerate(words) if not word.startswith("-")) :])
    per_node = int(os.environ["SLURM_NTASKS_PER_NODE"])
    tasks = JOBS / os.environ["SLURM_JOB_ID"] / "tasks"
    started = []
    for rank in range(int(os.environ["SLURM_NTASKS"])):
        own = {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank % per_node)}
        task = Forked(command, env=os.environ | own, start_new_session=True)
        (tasks / str(task.pid)).touch()
        started.append(task)
    statuses = [task.wait() for task in started]
    return max(128 - status if status < 0 else status for status in statuses)


def scontrol(*words: str) -> int:
    if words[:2] == ("show", "hostnames"):
        print(words[2])
        return 0
    assert words[0] == "requeue"
    if (STATE / "no-requeue").exists():
        print("Requested operation is presently disabled", file=sys.stderr)
        return 1
    (JOBS / words[1] / "requeue").touch()
    return 0


def squeue(*words: str) -> int:
    if (STATE / "deaf").exists():
        print("squeue: error: Unable to contact slurm controller", file=sys.stderr)
        return 1
    assert "--format=%A" in words
    print(*(job.name for job in JOBS.glob("*")), sep="\n")
    return 0


def scancel(*words: str) -> int:
    told = dict(word.lstrip("-").split("=") for word in words if word.startswith("-"))
    for job in (JOBS / word for word in words if not word.startswith("-")):
        running = job / "running"
        if "signal" in told:
            kill(job, signal.Signals[f"SIG{told['signal']}"])
        elif job.exists() and not running.exists():
            (job / "cancelled").touch()
        elif job.exists() and "state" not in told:
            os.killpg(int(running.read_text()), signal.SIGTERM)
            kill(job, signal.SIGTERM)
    return 0


def kill(job: Path, number: signal.Signals) -> None:
    for task in (job / "tasks").glob("*"):
        with suppress(ProcessLookupError):
            os.killpg(int(task.name), number)


if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    sys.exit(globals()[name](*rest))
