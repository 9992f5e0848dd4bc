"""Two ranks of one thread against one process of two threads, on one machine's CPU.

A run of the quickstart's recipe at several widths, as ``chiasm train`` and as ``torchrun`` starts
it, in turn, round by round. Speed is the median over the steps after the first ones, on the wall.

    python benchmarks/ranks.py [--widths 128,256,512] [--rounds 3] [--steps 60] [--record REMARK]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from record import write_record

RECIPE = Path(__file__).parents[1] / "recipes" / "quickstart.toml"
WARM_STEPS = 15
SETTINGS = (
    "training.validation_batches=0",
    "training.checkpoint_every_steps=1000000",
    "training.schedule.warmup_steps=10",
    "world.train_maps=16",
    "world.held_out_maps=4",
)
HEADS = {128: 4, 256: 4, 512: 8}
"""Query heads by width; half as many of keys and values."""

WAYS = {
    "one process, two threads": ((), "2"),
    "two ranks, one thread each": (("-m", "torch.distributed.run", "--nproc-per-node", "2"), "1"),
}


def speed(way: str, width: int, steps: int, folder: Path) -> float:
    """Positions per second of a run."""
    start, threads = WAYS[way]
    heads = HEADS.get(width, 4)
    shape = (f"model.width={width}", f"model.query_heads={heads}")
    shape += (f"model.key_value_heads={heads // 2}", f"training.steps={steps}")
    told = [f"--set={each}" for each in (*SETTINGS, *shape)]
    command = [sys.executable, *start, "-m", "chiasm", "train", str(RECIPE), *told]
    environment = os.environ | {"OMP_NUM_THREADS": threads}
    run = folder / f"{width}-{threads}"
    done = subprocess.run(
        [*command, "--out", str(run), "--fresh"], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    lines = [json.loads(line) for line in (run / "timing.jsonl").read_text().splitlines()]
    return median(line["positions_per_second"] for line in lines[WARM_STEPS:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", default="128,256,512")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--record", metavar="REMARK")
    asked = parser.parse_args()
    one, two = WAYS
    found = {}
    print(f"{'width':>6} {one:>26} {two:>28} {'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for width in map(int, asked.widths.split(",")):
            speeds: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(asked.rounds):
                for way in WAYS:
                    speeds[way].append(speed(way, width, asked.steps, Path(folder)))
            ratio = median(b / a for a, b in zip(speeds[one], speeds[two], strict=True))
            found[str(width)] = {**speeds, "ratio": round(ratio, 3)}
            print(f"{width:>6} {median(speeds[one]):>26,.0f} {median(speeds[two]):>28,.0f}", end="")
            print(f" {ratio:>7.2f}", flush=True)
    if asked.record is not None:
        write_record("ranks", {"remark": asked.record, "positions_per_second": found})


if __name__ == "__main__":
    main()
