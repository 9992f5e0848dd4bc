"""A run and a study on a real Slurm, pre-empted, beside the same without interruption.

    python benchmarks/slurm.py [FOLDER]

It needs sbatch and squeue, a partition ``low`` whose jobs are requeued for those of ``high``, both
over the same machines, and a FOLDER (``runs/slurm`` without it) that these see. Elsewhere it says
what is missing and does nothing. It takes a quarter of an hour: Slurm lets a job that was requeued
begin after two minutes. ``records/slurm.json`` is what came out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from record import write_record

from chiasm.loop.metrics import read_metrics

STEPS = 300
BEGUN = 100
"""Steps after which a run is pre-empted."""
WAIT_SECONDS = 900

RECIPE = f"""
name = "tiny"
streams.image = {{ kind = "pixels", image_pixels = 8, patch_pixels = 4 }}
tokenizer.vocabulary_tokens = 280
stream.sequence_length = 64
stream.batch_size = 4
stream.lanes = 4
stream.sources.manual = {{ kind = "python_manual" }}
model = {{ width = 32, depth = 2, query_heads = 2, key_value_heads = 1 }}
training.steps = {STEPS}
training.validation_batches = 2
training.checkpoint_every_steps = 200
"""

STUDY = """
name = "six"
recipe = "recipe.toml"
seeds = [0, 1, 2]
[grid]
"model.width" = [16, 32]
[[metrics]]
name = "text"
validation = "text_loss"
"""


def main() -> None:
    if missing := lacking():
        print(f"nothing is tried: {missing}")
        return
    folder = Path(*sys.argv[1:2] or ["runs/slurm"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "study.toml").write_text(STUDY)
    write_record("slurm", {"slurm": version(), "run": a_run(folder), "study": a_study(folder)})


def lacking() -> str:
    """What of a Slurm to try this on is not here."""
    if not (shutil.which("sbatch") and shutil.which("squeue")):
        return "there is no sbatch or no squeue in PATH"
    answer = subprocess.run(["sinfo", "--noheader", "--format=%R"], capture_output=True, text=True)
    if answer.returncode:
        return f"no Slurm answers: {answer.stderr.strip()}"
    absent = {"low", "high"} - set(answer.stdout.split())
    return f"there is no partition {' and no '.join(sorted(absent))}" if absent else ""


def version() -> str:
    return told("sbatch", "--version").strip()


def a_run(folder: Path) -> dict[str, Any]:
    """Two ranks, uninterrupted and pre-empted."""
    lone, run = folder / "uninterrupted", folder / "pre-empted"
    launch(folder, lone)
    wait(lambda: (lone / "slurm" / "ended").exists())
    launch(folder, run)
    preempt_at(lambda: last_step(run) >= BEGUN)
    stopped = last_step(run)
    wait(lambda: (run / "slurm" / "ended").exists())
    log = (run / "slurm" / "log.txt").read_text()
    ended = [(each / "slurm" / "ended").read_text().split()[1] for each in (lone, run)]
    return {
        "ranks": 2,
        "exit_statuses": ended,
        "attempts": log.count(", attempt "),
        "stopped_by_SIGTERM": "stopped by SIGTERM at step" in log,
        "went_on": "going on from step" in log,
        "steps_when_preempted": stopped,
        "steps": last_step(run),
        "metrics_equal": same(lone, run),
        "said": [line for line in log.splitlines() if "attempt" in line or " step " in line],
    }


def launch(folder: Path, run: Path) -> None:
    words = ["launch", str(folder / "recipe.toml"), "--out", str(run), "--ranks-per-node", "2"]
    print(told(*chiasm(*words, "--partition", "low", "--time", "01:00:00")), flush=True)


def a_study(folder: Path) -> dict[str, Any]:
    """Six cells, two at once, on the cluster with a pre-emption and by the local launcher."""
    study, there, here = folder / "study.toml", folder / "cluster", folder / "local"
    words = chiasm("study", "run", str(study), "--slots", "2", "--out")
    options = ("--launcher", "slurm", "--partition", "low", "--time", "01:00:00")
    with subprocess.Popen([*words, str(there), *options], stdout=subprocess.PIPE) as runner:
        try:
            preempt_at(lambda: any(last_step(cell / "run") >= BEGUN for cell in cells(there)))
            assert runner.wait(2 * WAIT_SECONDS) == 0
        finally:
            runner.terminate()
    told(*words, str(here))
    logs = [(cell / "log.txt").read_text() for cell in cells(there)]
    pairs = [(cell, here / "cells" / cell.name) for cell in cells(there)]
    results = [[result(own) for own in pair] for pair in pairs]
    return {
        "cells": len(pairs),
        "attempts_of_each": [log.count(", attempt ") for log in logs],
        "went_on": sum("going on from step" in log for log in logs),
        "results_equal": sum(one == other for one, other in results),
        "metrics_equal": sum(same(one / "run", other / "run") for one, other in pairs),
        "text": [one["text"]["value"] for one, _ in results],
    }


def cells(study: Path) -> list[Path]:
    return sorted((study / "cells").glob("*"))


def result(cell: Path) -> Any:
    return json.loads((cell / "result.json").read_text())["metrics"]


def same(one: Path, other: Path) -> bool:
    return (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()


def last_step(run: Path) -> int:
    return max((line["step"] for line in read_metrics(run / "metrics.jsonl")), default=0)


def preempt_at(begun: Callable[[], bool]) -> None:
    """Takes the machines from all jobs of ``low`` for a moment."""
    wait(begun)
    print(
        told(
            "sbatch",
            "--partition=high",
            "--exclusive",
            "--output=/dev/null",
            "--wait",
            "--wrap=sleep 1",
        ),
        flush=True,
    )


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


def chiasm(*words: str) -> list[str]:
    return [sys.executable, "-m", "chiasm", *words]


def told(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
