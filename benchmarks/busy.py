"""Training beside other programs: tokens per second alone and with three busy processes.

A run of the quickstart's recipe, as ``chiasm train`` starts it and no longer than asked for, in
windows that take turns: nothing of ours beside it, then processes that compute without a pause (two
plain loops and one matrix product on one thread). Each window has its own speed, wall time and
processor time of the training process; what else the machine did is in its load. ``--as-before``
has threads wait as OpenMP has them wait by default, and torch's own number of threads.

Shared fairly, two cores leave 2 of 5 runnable threads' time to two threads of training.

    python benchmarks/busy.py [--minutes 2] [--windows 3] [--as-before] [--set model.width=64 ...]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from record import write_record

RECIPE = Path(__file__).parents[1] / "recipes" / "quickstart.toml"

LOOP = "while True: pass"
PRODUCT = "import torch; torch.set_num_threads(1); a = torch.randn(512, 512)\nwhile True: a @ a"
BUSY = (LOOP, LOOP, PRODUCT)

SETTLING_SECONDS = 4.0
"""From the start of the busy processes to the window, and after their end; steps in it count for
neither."""

AS_BEFORE = {"GOMP_SPINCOUNT": "300000", "OMP_NUM_THREADS": str(os.cpu_count())}
"""GNU's OpenMP waits like this where nobody says how."""

SETTINGS = (
    "training.steps=1000000",
    "training.validate_every_steps=1000000",
    "training.validation_batches=1",
    "world.train_maps=16",
    "world.held_out_maps=4",
)
"""Of the run, over the recipe's: it only trains."""


@contextmanager
def beside(programs: tuple[str, ...]) -> Iterator[None]:
    """Processes of ours that compute until the block ends."""
    processes = [subprocess.Popen([sys.executable, "-c", program]) for program in programs]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def window(run: Path, process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
    """Speed and processor time of a training process over some seconds."""
    time.sleep(SETTLING_SECONDS)
    begin, before, tokens = time.perf_counter(), _processor_seconds(process.pid), _lines(run)
    time.sleep(seconds)
    if process.poll() is not None:
        raise SystemExit(f"the training ended with status {process.returncode}")
    wall = time.perf_counter() - begin
    lines = _lines(run)[len(tokens) :]
    trained = sum(line["tokens_per_second"] * line["seconds"] for line in lines)
    taken = sum(line["seconds"] for line in lines)
    return {
        "steps": len(lines),
        "tokens_per_second": round(trained / max(taken, wall)),
        "wall_seconds_per_step": round(taken / max(1, len(lines)), 3),
        "processor_seconds_per_step": round(
            (_processor_seconds(process.pid) - before) / max(1, len(lines)), 3
        ),
        "threads": sorted({line["threads"] for line in lines}),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=2.0, help="of all windows together")
    parser.add_argument("--windows", type=int, default=3, help="of each kind")
    parser.add_argument("--as-before", action="store_true")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    arguments = parser.parse_args()
    seconds = arguments.minutes * 60 / (2 * arguments.windows)
    found: dict[str, list[dict[str, Any]]] = {"alone": [], "beside_three": []}
    with tempfile.TemporaryDirectory() as folder, training(arguments, Path(folder)) as process:
        run = Path(folder) / "run"
        while not _lines(run):
            if process.poll() is not None:
                raise SystemExit(f"the training ended with status {process.returncode}")
            time.sleep(0.5)
        for _ in range(arguments.windows):
            for name, programs in (("alone", ()), ("beside_three", BUSY)):
                with beside(programs):
                    found[name].append(window(run, process, seconds))
                print(name, found[name][-1], flush=True)
        record = json.loads((run / "threads.json").read_text())
    speed = {
        name: median(w["tokens_per_second"] for w in windows) for name, windows in found.items()
    }
    figures = {
        "waiting": "as OpenMP has it" if arguments.as_before else "as chiasm has it",
        "tokens_per_second": speed,
        "ratio": round(speed["beside_three"] / speed["alone"], 3),
        "threads": record,
        "windows": found,
    }
    print(json.dumps({name: figures[name] for name in ("tokens_per_second", "ratio", "threads")}))
    write_record("busy_as_before" if arguments.as_before else "busy", figures)


@contextmanager
def training(arguments: argparse.Namespace, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run in ``folder``/run that goes on until the block ends."""
    options = [o for setting in (*SETTINGS, *arguments.settings) for o in ("--set", setting)]
    command = [sys.executable, "-m", "chiasm", "train", str(RECIPE), "--out", str(folder / "run")]
    process = subprocess.Popen(
        [*command, *options],
        env=os.environ | (AS_BEFORE if arguments.as_before else {}),
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _lines(run: Path) -> list[dict[str, Any]]:
    """Steps so far; one that is being written is left out."""
    path = run / "timing.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def _processor_seconds(pid: int) -> float:
    """Of all threads of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
