"""What the command line costs before it computes anything, in times of importing torch.

Processor time (user and system) of a whole process, the least of five: the list of verbs, a
mistyped setting on the command line, one in the file, and an option out of its bounds. The goals
are a quarter for the list and a half for the mistakes.

    python benchmarks/start.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

RECIPE = Path(__file__).parents[1] / "recipes" / "quickstart.toml"
REPETITIONS = 5


def cost_seconds(*command: str) -> float:
    """Returns user and system seconds of the cheapest of some runs of Python's ``command``."""
    return min(_cost_seconds(command) for _ in range(REPETITIONS))


def _cost_seconds(command: tuple[str, ...]) -> float:
    before = os.times()
    subprocess.run([sys.executable, *command], capture_output=True, check=False)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def main() -> None:
    """Prints a line for each start."""
    with tempfile.TemporaryDirectory() as folder:
        wrong = Path(folder) / "wrong.toml"
        wrong.write_text(RECIPE.read_text().replace("[model]", "[model]\nwidht = 8"))
        starts = {
            "chiasm --help": ("-m", "chiasm", "--help"),
            "chiasm train, a wrong --set": (
                *("-m", "chiasm", "train", str(RECIPE)),
                *("--set", "model.widht=8"),
            ),
            "chiasm train, a wrong line": ("-m", "chiasm", "train", str(wrong)),
            "chiasm sample, a wrong option": ("-m", "chiasm", "sample", "run", "--guidance", "nan"),
        }
        torch_seconds = cost_seconds("-c", "import torch")
        print(f"{'import torch':<28} {torch_seconds:5.2f} s")
        for name, command in starts.items():
            seconds = cost_seconds(*command)
            print(f"{name:<28} {seconds:5.2f} s, {seconds / torch_seconds:.2f} of it")


if __name__ == "__main__":
    main()
