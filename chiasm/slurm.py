"""Jobs of a Slurm cluster: the script of one, and submitting, finding and ending it.

A job runs one command of chiasm on all its ranks and looks after itself, whether or not anybody
watches it:

- SIGTERM, which Slurm sends before it pre-empts a job and, as the script asks, before the time
  limit, goes to the ranks and not to the script. They finish the step, save and end with 143, and
  the script puts the job back into the queue.
- SIGINT, which ``scancel --signal=INT`` sends, does the same but for the queue: the job ends.
- After ``scancel`` alone the script ends at once. It must have no trap: with one it would live on,
  find 143 and bring the cancelled job back.

What a folder knows of its last job needs neither the accounting of the cluster nor the process that
submitted it:

    job.sh   the script
    id       the job's number
    ended    number and exit status, written by the script when the job will not run again
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chiasm.errors import UserError
from chiasm.whole import write_whole

SAVE_SECONDS = 300
"""Time that a job gets for its last step and its checkpoint before its time limit; less where the
limit is short."""

LEAST_SECONDS = 120
"""Shortest time limit: Slurm may send its signal a minute early."""

ANSWER_SECONDS = 60
"""Time that a command of Slurm gets for its answer."""

REQUEUED = 128 + 15
"""Exit status of ranks that SIGTERM stopped."""

_TIME = re.compile(
    r"(?:(?P<days>\d+)-(?P<hours>\d+)(?::(?P<minutes>\d+)(?::(?P<seconds>\d+))?)?"
    r"|(?:(?P<h>\d+):(?=\d+:))?(?P<m>\d+)(?::(?P<s>\d+))?)"
)


@dataclass(frozen=True)
class Resources:
    """What a job asks of the cluster.

    Args:
        nodes: machines.
        ranks_per_node: processes of each.
        partition: the cluster's default where it is None.
        time: limit in a form of Slurm, such as 04:00:00 or 1-12; the partition's where it is None.
        options: further options of sbatch, which win over those that chiasm writes.

    Raises:
        UserError: a time or an option that is none.
    """

    nodes: int = 1
    ranks_per_node: int = 1
    partition: str | None = None
    time: str | None = None
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.time is not None and seconds_of(self.time) < LEAST_SECONDS:
            raise UserError(
                f"--time {self.time}: a job needs {LEAST_SECONDS} s at least to start and to save",
                remedy="give more; 04:00:00 is four hours, and a number alone is minutes",
            )
        for option in self.options:
            if not option.startswith("-") or "\n" in option:
                raise UserError(
                    f"--sbatch {option!r} is no option of sbatch",
                    remedy='write it as in --sbatch "--constraint=h200"',
                )

    @property
    def save_seconds(self) -> int:
        """Seconds before the time limit at which ranks are told to save."""
        if self.time is None:
            return SAVE_SECONDS
        return min(SAVE_SECONDS, seconds_of(self.time) // 4)


def seconds_of(time: str) -> int:
    """Returns the seconds of a time limit in one of Slurm's forms.

    Raises:
        UserError: it has none of them.
    """
    found = _TIME.fullmatch(time)
    if found is None:
        raise UserError(
            f"--time {time} is no time limit",
            remedy="write minutes, minutes:seconds, hours:minutes:seconds, days-hours or "
            "days-hours:minutes:seconds, such as 04:00:00",
        )
    own = {unit: int(number or 0) for unit, number in found.groupdict().items()}
    hours = 24 * own["days"] + own["hours"] + own["h"]
    return 3600 * hours + 60 * (own["minutes"] + own["m"]) + own["seconds"] + own["s"]


@dataclass(frozen=True)
class SlurmJob:
    """A command of chiasm as a job.

    Args:
        name: shown by squeue.
        words: the command's words after ``chiasm``.
        folder: keeps the script and what became of it; all machines see it.
        log: receives the output of all attempts.
        resources: what it asks for.
    """

    name: str
    words: Sequence[str]
    folder: Path
    log: Path
    resources: Resources

    @property
    def path(self) -> Path:
        """The script's file."""
        return self.folder.absolute() / "job.sh"

    @property
    def last(self) -> int | None:
        """Number of the folder's last job; None where it has had none."""
        try:
            return int((self.folder / "id").read_text())
        except (OSError, ValueError):
            return None

    @property
    def status(self) -> int | None:
        """Exit status of the folder's last job; None where it has not ended by itself."""
        try:
            number, status = map(int, (self.folder / "ended").read_text().split())
        except (OSError, ValueError):
            return None
        return status if number == self.last else None

    def script(self) -> str:
        """Returns the text of the batch script."""
        asked = self.resources
        options = [
            f"--job-name={self.name}",
            f"--nodes={asked.nodes}",
            f"--ntasks-per-node={asked.ranks_per_node}",
            *([f"--partition={asked.partition}"] if asked.partition else []),
            *([f"--time={asked.time}"] if asked.time else []),
            f"--chdir={Path.cwd()}",
            f"--output={str(self.log.absolute()).replace('%', '%%')}",
            "--open-mode=append",
            "--requeue",
            f"--signal=TERM@{asked.save_seconds}",
        ]
        lines = [*map(shlex.quote, options), *asked.options]
        ended = shlex.quote(str(self.folder.absolute() / "ended"))
        return _SCRIPT.format(
            options="\n".join(f"#SBATCH {line}" for line in lines),
            local_size=asked.ranks_per_node,
            command=shlex.join([sys.executable, "-m", "chiasm", *self.words]),
            requeued=REQUEUED,
            ended=ended,
        )

    def submit(self) -> int:
        """Writes the script, submits it, and returns the job's number.

        Raises:
            UserError: there is no Slurm here, or it refuses the job.
        """
        write_whole(self.path, self.script())
        self.log.absolute().parent.mkdir(parents=True, exist_ok=True)
        answer = _answer("sbatch", "--parsable", str(self.path))
        number = int(answer.strip().splitlines()[-1].split(";")[0])  # NUMBER or NUMBER;CLUSTER
        write_whole(self.folder / "id", f"{number}\n")
        return number


_SCRIPT = """\
#!/bin/bash
{options}

# SIGTERM reaches the ranks and not this script, which must have no trap: it would bring a job that
# was cancelled back into the queue.
export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_PORT=$((10000 + SLURM_JOB_ID % 20000))
export OMP_NUM_THREADS=${{SLURM_CPUS_PER_TASK:-${{OMP_NUM_THREADS:-1}}}}
echo "job $SLURM_JOB_ID, attempt $((${{SLURM_RESTART_COUNT:-0}} + 1)) on $SLURM_JOB_NODELIST"

# Ranks that miss another one end by themselves; until then they save.
srun --kill-on-bad-exit=0 ${{SLURM_CPUS_PER_TASK:+--cpus-per-task=$SLURM_CPUS_PER_TASK}} bash -c '
export RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS
export LOCAL_RANK=$SLURM_LOCALID LOCAL_WORLD_SIZE={local_size}
exec "$@"' rank {command}
status=$?

if [ "$status" = {requeued} ] && scontrol requeue "$SLURM_JOB_ID"; then
    exit {requeued}
fi
echo "$SLURM_JOB_ID $status" > {ended}.partial
mv {ended}.partial {ended}
exit "$status"
"""


def queued() -> set[int]:
    """Returns the numbers of the user's jobs that wait, run or are about to end.

    Raises:
        UserError: there is no Slurm here, or it does not answer.
    """
    answer = _answer("squeue", "--noheader", f"--user={os.getuid()}", "--format=%A")
    return {int(line) for line in answer.split()}


def interrupt(numbers: Iterable[int]) -> None:
    """Lets running jobs save and end; once only, since a second time would end them at once."""
    _tell("scancel", "--signal=INT", *map(str, numbers))


def cancel(numbers: Iterable[int], *, waiting: bool = False) -> None:
    """Ends jobs, or those of them that are ``waiting``."""
    _tell("scancel", *(["--state=PENDING"] if waiting else []), *map(str, numbers))


def _tell(*words: str) -> None:
    # Jobs that have ended meanwhile, or do not run yet, are errors to scancel.
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(words, capture_output=True, timeout=ANSWER_SECONDS)


def _answer(*words: str) -> str:
    try:
        return subprocess.run(
            words, capture_output=True, text=True, check=True, timeout=ANSWER_SECONDS
        ).stdout
    except FileNotFoundError as error:
        raise UserError(
            f"there is no {words[0]} on this machine",
            remedy="run it where jobs are submitted from, such as a login node of the cluster; "
            "without Slurm, torchrun -m chiasm train starts several ranks (docs/ranks.md)",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"{words[0]} gave no answer in {ANSWER_SECONDS} s", remedy="try again later"
        ) from error
    except subprocess.CalledProcessError as error:
        told = (error.stderr or error.stdout).strip() or f"exit status {error.returncode}"
        raise UserError(
            f"{words[0]} refuses: {told}",
            remedy="sinfo lists the partitions and their limits",
        ) from error
