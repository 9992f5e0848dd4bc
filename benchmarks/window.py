"""Roll-outs longer than their documents: views that stay are read anew, or stay in the cache.

Processor seconds of a view, the two ways in turn, round after round, with one solver step and with
25. Speed does not depend on what a model has learned, so that weights are random.

    python benchmarks/window.py [--rounds 3] [--rows 8] [--steps 24]
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np
import torch
from record import write_record
from rollout import QUICKSTART, Shape, action_text

from chiasm.inference.request import SamplingSettings
from chiasm.worldmodel.rollout import Context, Rollouts

SHAPE = Shape("quickstart, documents of 9 views", QUICKSTART, 64, 8, 9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=8, help="roll-outs that run together")
    parser.add_argument("--steps", type=int, default=24, help="of each roll-out")
    arguments = parser.parse_args()
    pretrained, rng = SHAPE.build(torch.device("cpu")), np.random.default_rng(1)
    contexts = [
        Context((rng.integers(0, 256, (64, 64, 3), np.uint8),)) for _ in range(arguments.rows)
    ]
    scripts = [[action_text(rng) for _ in range(arguments.steps)] for _ in contexts]
    found: dict[str, dict[str, float]] = {}
    for solver_steps in (1, 25):
        spent: dict[str, list[float]] = {"read anew": [], "kept": []}
        for _ in range(arguments.rounds):
            for way, rounds in spent.items():
                drawn = SamplingSettings(
                    steps=solver_steps, guidance=1.0, kept_window=way == "kept"
                )
                began = time.process_time()
                Rollouts.of(pretrained, drawn).imagine(contexts, scripts)
                rounds.append((time.process_time() - began) / arguments.rows / arguments.steps)
        milliseconds = {way: round(1000 * median(own), 2) for way, own in spent.items()}
        found[f"{solver_steps} solver steps"] = milliseconds
        print(f"{solver_steps} solver steps, processor milliseconds of a view: {milliseconds}")
    write_record("window", {"settings": vars(arguments), "milliseconds": found})


if __name__ == "__main__":
    main()
