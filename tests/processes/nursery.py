"""Processes with all imports done: copies of one that has imported what a process of chiasm needs.

A start of Python, torch and chiasm takes some seconds of a core, which tests would spend on every
process that they, or the library, start; so would benchmarks/kills.py. What only a new start shows,
as what is imported, or that nothing depends on the order of a set, needs ``subprocess.Popen``.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import inspect
import json
import os
import random
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

PRELOADED = [
    *("torch._dynamo", "torch.distributed.checkpoint", "torch.distributed.fsdp"),
    *("torch.distributed.tensor", "torch.utils.tensorboard.writer"),
    *("chiasm.rendezvous", "chiasm.cli.train", "chiasm.cli.vision", "chiasm.cli.study"),
    *("chiasm.cli.walk", "chiasm.worlds.render"),
    # Commands import these when their recipe is read.
    *("chiasm.assembly", "chiasm.vision.learning.from_settings", "chiasm.walk.server"),
    *("chiasm.studies.slot", "chiasm.studies.runner", "chiasm.cli.cells", "chiasm.cli.starts"),
]

PLACE = "CHIASM_TESTS_NURSERY"
"""Environment variable: the server's socket, in a folder whose name ends with its owner's PID."""

EXECUTE = inspect.signature(subprocess.Popen._execute_child)
"""What Popen calls when its pipes are open."""
PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")


def open_nursery() -> None:
    """Gives this process, and those that it starts, a server, which begins when it is needed."""
    folder = tempfile.mkdtemp(prefix="nursery-", suffix=f"-{os.getpid()}")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[PLACE] = f"{folder}/socket"


class Forked(subprocess.Popen):
    """A process whose Python is a copy of the server's; other commands start as ever."""

    _server: socket.socket | None = None
    """Where the PID came from, and the status comes from."""

    def _execute_child(self, *told: Any) -> None:
        given = EXECUTE.bind(self, *told).arguments
        command = [os.fsdecode(word) for word in given["args"]]
        if command[0] != sys.executable:
            super()._execute_child(*told)
            return
        ends = enumerate(given[name] for name in ("p2cread", "c2pwrite", "errwrite"))
        variables = os.environ if given["env"] is None else given["env"]
        request = {
            "command": command[1:],
            "variables": {os.fsdecode(name): os.fsdecode(variables[name]) for name in variables},
            "folder": os.fsdecode(given["cwd"] or os.getcwd()),
            "session": bool(given["start_new_session"]),
        }
        self._server = connected()
        socket.send_fds(self._server, [b"."], [own if own >= 0 else fd for fd, own in ends])
        self._server.sendall(json.dumps(request).encode())
        self._server.shutdown(socket.SHUT_WR)
        self.pid = int.from_bytes(self._server.recv(4))
        self._child_created = True
        self._close_pipe_fds(*(given[name] for name in PIPES))

    def poll(self) -> int | None:
        """Exit status; None while it runs."""
        if self._server is None:
            return super().poll()
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """Returns what os.waitpid returns of a child."""
        if self._server is None:
            return super()._try_wait(wait_flags)
        try:
            told = self._server.recv(4, socket.MSG_DONTWAIT if wait_flags & os.WNOHANG else 0)
        except BlockingIOError:
            return 0, 0
        assert told, "the nursery has ended"
        self._server.close()
        return self.pid, int.from_bytes(told)


def start(ranks: int, command: Sequence[str], **more: str) -> list[Forked]:
    """Starts so many ranks of a Python command; ``more`` are variables."""
    return [
        Forked(
            [sys.executable, *command],
            env={**os.environ, **variables, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for variables in environments(ranks)
    ]


def environments(ranks: int) -> list[dict[str, str]]:
    """Variables of so many ranks of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    common |= {"LOCAL_WORLD_SIZE": str(ranks), "OMP_NUM_THREADS": "1"}
    return [{**common, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(ranks)]


def connected() -> socket.socket:
    """A connection to the server, which begins with the first of them."""
    place = Path(os.environ[PLACE])
    with place.with_name("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            variables = {**os.environ, "OMP_NUM_THREADS": "1"}
            server = os.posix_spawn(sys.executable, [sys.executable, __file__], variables)
            while not place.exists():
                assert os.waitpid(server, os.WNOHANG) == (0, 0), "the nursery does not begin"
                time.sleep(0.02)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(place))
    return connection


def serve(place: Path) -> socket.socket:
    """Has a copy of this process for each connection, which is returned there."""
    os.setsid()  # Ctrl-C is for the tests
    gc.freeze()  # what is never collected is shared
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    owner = int(place.parent.name.rpartition("-")[2])
    with socket.socket(socket.AF_UNIX) as listener:
        aside = place.with_name("aside")
        listener.bind(str(aside))
        listener.listen()
        listener.settimeout(1.0)
        aside.rename(place)
        while alive(owner):
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                if os.fork() == 0:
                    return connection
                connection.close()
    shutil.rmtree(place.parent, ignore_errors=True)  # an owner that was killed leaves it
    sys.exit()


def alive(number: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def fork_again(connection: socket.socket) -> list[str]:
    """Forks once more, tells that process's PID and status, and returns its command there."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    connection.settimeout(None)
    _, files, *_ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as told:
        request = json.load(told)
    if child := os.fork():
        for file in files:
            os.close(file)
        connection.sendall(child.to_bytes(4))
        status = os.waitpid(child, 0)[1]
        with suppress(OSError):  # whoever asked for it may have ended
            connection.sendall(status.to_bytes(4))
        os._exit(0)
    connection.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    if request["session"]:
        os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ |= request["variables"]
    return request["command"]


def run(command: list[str]) -> None:
    """Runs ``-m MODULE ...``, ``-c CODE ...`` or ``SCRIPT ...``, as Python would.

    Python processes that it starts are forked too.
    """
    subprocess.Popen = Forked
    random.seed()
    import_module("numpy").random.seed()
    import_module("torch").set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    first, *rest = command
    if first == "-m":
        sys.argv = rest
        sys.path[0] = os.getcwd()
        if not hasattr(sys.modules.get(rest[0]), "__path__"):
            sys.modules.pop(rest[0], None)
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.path[0] = ""
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)
    else:
        sys.argv = command
        sys.path[0] = str(Path(first).parent)
        runpy.run_path(first, run_name="__main__")


def status_of(command: list[str]) -> int:
    """Exit status of a command that was run; what it raised is told as Python would."""
    try:
        run(command)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def leave(status: int) -> None:
    """Ends this process as Python would, but does not take apart what was imported: 0.3 s."""
    threading._shutdown()
    atexit._run_exitfuncs()
    for file in (sys.stdout, sys.stderr):
        file.flush()
    os._exit(status)


if __name__ == "__main__":
    # Before OpenMP reads it; the module runs anew where a command is run.
    os.environ |= import_module("chiasm.__main__").SHORT_WAIT
    del sys.modules["chiasm.__main__"]
    for name in PRELOADED:
        import_module(name)
    leave(status_of(fork_again(serve(Path(os.environ[PLACE])))))
