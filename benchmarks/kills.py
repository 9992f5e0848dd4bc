"""A run whose ranks are killed at random moments, beside one that is left alone.

Every cycle starts 1, 2 or 4 ranks, waits until they have trained for some steps, and a little
longer, and kills one of them (SIGKILL); the others must end by themselves. At last one process
trains to the end. What was read (every lane's position and packing buffer), the counts and the
losses are compared.

    python benchmarks/kills.py [--kills 100] [--seed 0] [--record REMARK]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from record import write_record

from chiasm.loop.metrics import read_metrics

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "processes"))

from nursery import Forked, open_nursery, start

RECIPE = """
name = "kills"
streams.image = {{ kind = "pixels", image_pixels = 8, patch_pixels = 4 }}
tokenizer.vocabulary_tokens = 280
stream.sequence_length = 64
stream.batch_size = 4
stream.lanes = 4
stream.sources.texts = {{ kind = "text", path = "{texts}", held_out_fraction = 0.2 }}
model.experts = "moe"
model.width = 32
model.depth = 2
model.query_heads = 4
model.key_value_heads = 2
model.feedforward_width = 96
model.moe.num_experts = 8
training.steps = {steps}
training.validation_batches = 1
training.validate_every_steps = 100000
training.checkpoint_every_steps = 5
training.schedule.warmup_steps = 10
training.parallel.timeout_seconds = 30
"""
WORDS = ("the", "red", "door", "stands", "left", "of", "a", "green", "lamp")

STEPS = 25
"""Most steps of a cycle before its kill, which may come a moment later."""
MOMENT_SECONDS = 0.1
SPLITS = {1: [(1, 1)], 2: [(1, 1), (2, 1), (1, 2), (2, 2)], 4: [(1, 4), (4, 2), (2, 1)]}
"""Ranks → ranks of shards and of experts."""


def train(recipe: Path, out: Path, ranks: int, split: tuple[int, int]) -> list[Forked]:
    """Starts ranks as torchrun would."""
    settings = zip(("shard_ranks", "expert_ranks"), split, strict=True)
    told = [f"--set=training.parallel.{name}={value}" for name, value in settings]
    return start(ranks, ["-m", "chiasm", "train", str(recipe), "--out", str(out), *told])


def last_step(out: Path) -> int:
    """The last step that is in the metrics, whose last line may be cut off."""
    path = out / "metrics.jsonl"
    if not path.exists():
        return 0
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 10_000))
        lines = file.read().split(b"\n")[:-1]
    return json.loads(lines[-1])["step"] if lines else 0


def killed_run(recipe: Path, out: Path, kills: int, drawn: random.Random) -> Counter[str]:
    """Kills ranks so often; returns how often by the number of ranks."""
    done: Counter[str] = Counter()
    while sum(done.values()) < kills:
        ranks = drawn.choice(list(SPLITS))
        goal = last_step(out) + drawn.randint(1, STEPS)
        processes = train(recipe, out, ranks, drawn.choice(SPLITS[ranks]))
        while last_step(out) < goal and all(each.poll() is None for each in processes):
            time.sleep(0.01)
        time.sleep(drawn.uniform(0, MOMENT_SECONDS))
        if not all(each.poll() is None for each in processes):
            raise SystemExit(f"a rank ended by itself: {[each.poll() for each in processes]}")
        victim = drawn.randrange(ranks)
        processes[victim].kill()
        statuses = [each.wait(120) for each in processes]
        if set(statuses[:victim] + statuses[victim + 1 :]) - {1}:
            raise SystemExit(f"after a kill the ranks ended with {statuses}")
        done[f"{ranks} ranks"] += 1
        print(
            f"kill {sum(done.values())} of {kills}: {ranks} ranks, step {last_step(out)}",
            flush=True,
        )
    return done


def ended(out: Path, process: Forked) -> tuple[dict, list[dict]]:
    """Waits for a run; returns the saved counts and positions, and the metrics."""
    if process.wait():
        raise SystemExit(f"the run in {out} ended with {process.returncode}")
    newest = max((out / "checkpoints").iterdir())
    return json.loads((newest / "progress.json").read_text()), read_metrics(out / "metrics.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", metavar="REMARK")
    asked = parser.parse_args()
    open_nursery()
    with tempfile.TemporaryDirectory() as folder:
        texts, recipe = Path(folder) / "texts", Path(folder) / "recipe.toml"
        texts.mkdir()
        drawn = random.Random(asked.seed)
        for number in range(200):
            words = (drawn.choice(WORDS) for _ in range(30))
            (texts / f"{number}.txt").write_text(f"{number}: {' '.join(words)}")
        recipe.write_text(RECIPE.format(texts=texts, steps=2 * STEPS * asked.kills + 20))
        killed, alone = Path(folder) / "killed", Path(folder) / "alone"
        begin_seconds = time.monotonic()
        done = killed_run(recipe, killed, asked.kills, drawn)
        seconds = time.monotonic() - begin_seconds
        # Together: each is one process of one thread.
        [rest], [whole] = (train(recipe, out, 1, (1, 1)) for out in (killed, alone))
        state, found = ended(killed, rest)
        wanted, expected = ended(alone, whole)
        steps = [line["step"] for line in found]
        figures = {
            "remark": asked.record,
            "kills": dict(done),
            "seconds_a_kill": round(seconds / asked.kills, 2),
            "steps": len(found),
            "same_documents_and_counts": state == wanted,
            "every_step_once": steps == [line["step"] for line in expected],
            "tokens": found[-1]["tokens"] if "tokens" in found[-1] else found[-2]["tokens"],
            "largest_relative_difference_of_loss": max(
                abs(mine["loss"] / theirs["loss"] - 1)
                for mine, theirs in zip(found, expected, strict=True)
            ),
        }
        print(json.dumps(figures, indent=1))
        if asked.record is not None:
            write_record("kills", figures)
        if not (figures["same_documents_and_counts"] and figures["every_step_once"]):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
