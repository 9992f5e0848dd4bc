"""Two commits checked out aside, and processes of both that work in turn.

A machine that slows down slows both: either the processes wait between their turns, which suits
training in steps, or they are stopped and woken by signals, which suits a whole command. Each
commit has its own folder with its own cache, so that neither reads what the other made.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
WORK = Path(__file__).with_name("against_work.py")

OF_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Variables that decide how many threads there are and how they wait."""

TURN_SECONDS = 2.0
"""How long a whole command goes on before the other one's turn."""

LOOK_SECONDS = 0.02
"""Between looks at whether a command has ended."""


class Unable(Exception):
    """A commit cannot do the work; says why."""


@dataclass(frozen=True)
class Checkout:
    """One commit's files, and a folder for what it makes."""

    name: str
    commit: str
    root: Path
    folder: Path

    def environment(self, threads: int | None) -> dict[str, str]:
        """Of a process of this commit; without ``threads`` they are as if nobody had said."""
        kept = {name: value for name, value in os.environ.items() if name not in OF_THREADS}
        paths = [str(self.root), *filter(None, [os.environ.get("PYTHONPATH")])]
        kept |= {"PYTHONPATH": os.pathsep.join(paths), "CHIASM_CACHE": str(self.folder / "cache")}
        return kept | ({"OMP_NUM_THREADS": str(threads)} if threads else {})


Pair = tuple[Checkout, Checkout]


@dataclass
class Found:
    """What the old and the new commit gave, round by round."""

    old: list[dict[str, float]] = field(default_factory=list)
    new: list[dict[str, float]] = field(default_factory=list)
    warm: dict[str, dict[str, float]] = field(default_factory=dict)
    """By the commit's name: what a process said when it was ready."""
    unable: dict[str, str] = field(default_factory=dict)
    """By the commit's name: why it gave nothing."""


@contextmanager
def checkouts(old: str, new: str) -> Iterator[Pair]:
    """Both commits in folders that are gone when the block ends."""
    with tempfile.TemporaryDirectory(prefix="against-") as temporary:
        made: list[Checkout] = []
        try:
            for name, asked in (("old", old), ("new", new)):
                commit = _git("rev-parse", "--verify", f"{asked}^{{commit}}")
                root, folder = Path(temporary) / name / "checkout", Path(temporary) / name / "made"
                folder.mkdir(parents=True)
                _git("worktree", "add", "--detach", str(root), commit)
                made.append(Checkout(name, commit, root, folder))
            yield made[0], made[1]
        finally:
            for checkout in made:
                _git("worktree", "remove", "--force", str(checkout.root))


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, cwd=REPOSITORY)
    if done.returncode:
        raise SystemExit(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


class Worker:
    """A process of against_work.py that waits between its turns."""

    def __init__(
        self, checkout: Checkout, work: str, arguments: Mapping[str, Any], threads: int | None
    ) -> None:
        run = Path(tempfile.mkdtemp(dir=checkout.folder))
        self.log = run / "log.txt"
        everything = {"root": str(checkout.root), "run": str(run / "run"), **arguments}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(WORK), work, json.dumps(everything)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=run,
                env=checkout.environment(threads),
            )
        self.warm = self._answer()

    def turn(self, wanted: Mapping[str, float]) -> dict[str, float]:
        """Have it work for so many steps or seconds; what it says of them."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(wanted) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise Unable(_last_line(self.log))
        return json.loads(line)

    def end(self) -> None:
        """It is killed."""
        self.process.kill()
        self.process.communicate()


def in_turn(
    pair: Pair,
    work: str,
    arguments: Callable[[Checkout], Mapping[str, Any]],
    wanted: Mapping[str, float],
    rounds: int,
    *,
    threads: int | None = 1,
    beside: tuple[str, ...] = (),
    settle: Mapping[str, float] | None = None,
) -> Found:
    """Have both commits work in turn, ``rounds`` times, each in a process that stays.

    Args:
        work: a function of against_work.py.
        arguments: of that function.
        wanted: of a turn.
        threads: None: as many as each commit takes by itself.
        beside: programs that compute beside all turns.
        settle: a turn before all others, which is not counted.
    """
    found, workers = Found(), {}
    busy: list[subprocess.Popen[bytes]] = []
    try:
        for checkout in pair:  # one after the other: the first one waits when the second begins
            try:
                worker = Worker(checkout, work, arguments(checkout), threads)
                workers[checkout.name], found.warm[checkout.name] = worker, worker.warm
            except Unable as error:
                found.unable[checkout.name] = str(error)
        busy += [subprocess.Popen([sys.executable, "-c", program]) for program in beside]
        for number in range(-1 if settle else 0, rounds):
            for name in sorted(workers, reverse=number % 2 == 0):
                said = workers[name].turn(settle if settle and number < 0 else wanted)
                if number >= 0:
                    getattr(found, name).append(said)
    except Unable as error:
        found.unable[name] = str(error)
    finally:
        for worker in workers.values():
            worker.end()
        for process in busy:
            process.kill()
            process.wait()
    return found


def commands_in_turn(
    pair: Pair, command: Callable[[Checkout], list[str]], threads: int | None = 1
) -> dict[str, float | Unable]:
    """Processor seconds of one command of each commit, all its processes together.

    Both run by turns of some seconds: one is stopped while the other goes on. What a command does
    by the clock would see the pauses; what is measured here has nothing of the kind.
    """
    running: dict[str, subprocess.Popen[bytes]] = {}
    logs = {checkout.name: checkout.folder / "command.txt" for checkout in pair}
    found: dict[str, float | Unable] = {}
    try:
        for checkout in pair:
            words = [sys.executable, "-m", "chiasm", *command(checkout)]
            with logs[checkout.name].open("wb") as log:
                running[checkout.name] = subprocess.Popen(
                    words,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=checkout.folder,
                    env=checkout.environment(threads),
                )
            _signal_all(running[checkout.name].pid, signal.SIGSTOP)
        while running:
            for name, process in list(running.items()):
                _signal_all(process.pid, signal.SIGCONT)
                ended = _ended(process, TURN_SECONDS)
                if ended is None:
                    _signal_all(process.pid, signal.SIGSTOP)
                    continue
                del running[name]
                why = Unable(_last_line(logs[name]))
                found[name] = why if process.returncode else ended
    finally:
        for process in running.values():
            _signal_all(process.pid, signal.SIGSTOP)
            _signal_all(process.pid, signal.SIGKILL)
            process.wait()
    return found


def _ended(process: subprocess.Popen[bytes], seconds: float) -> float | None:
    """Processor seconds of a process that ends within some seconds, its children's included."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime
        time.sleep(LOOK_SECONDS)
    return None


def _signal_all(pid: int, number: signal.Signals) -> None:
    """To a process and all that it started: one that is stopped first cannot start more."""
    last = number == signal.SIGKILL  # whose parent is gone is nobody's child
    for child in _children(pid) if last else ():
        _signal_all(child, number)
    with suppress(ProcessLookupError):
        os.kill(pid, number)
    for child in () if last else _children(pid):
        _signal_all(child, number)


def _children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == pid:
                found.append(int(path.parent.name))
    return found


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it ended without a word"
