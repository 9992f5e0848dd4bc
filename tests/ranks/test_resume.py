"""A run goes on where its ranks were killed, on any number of ranks, with the very same data."""

import json
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from chiasm.loop.metrics import read_metrics

pytestmark = pytest.mark.slow

STEPS = 60
SPLITS = {4: (4, 2), 2: (1, 2), 1: (1, 1)}
"""Ranks → (ranks of shards, ranks of experts)."""


@pytest.fixture(scope="module")
def train(ranks_recipe: Path, start_ranks: Callable[..., Any]) -> Callable[..., Any]:
    def train(ranks: int, out: Path, *settings: str) -> list[Any]:
        told = [f"--set={each}" for each in (f"training.steps={STEPS}", *settings)]
        return start_ranks(
            ranks, ["-m", "chiasm", "train", str(ranks_recipe), "--out", str(out), *told]
        )

    return train


def wait_for(out: Path, step: int, processes: Sequence[Any]) -> None:
    while not any(line["step"] >= step for line in read_metrics(out / "metrics.jsonl")):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.02)


def last_state(out: Path) -> dict[str, Any]:
    content = json.loads((out / "checkpoints" / f"step-{STEPS:07d}" / "progress.json").read_text())
    return content["progress"]


def test_four_ranks_then_two_then_one(
    train: Callable[..., Any], ended_ranks: Callable[..., list[str]], tmp_path: Path
) -> None:
    moe = ["model.experts=moe", "model.moe.num_experts=8", "model.feedforward_width=96"]
    [said] = ended_ranks(train(1, tmp_path / "whole", *moe))
    assert f"trained {STEPS} steps" in said
    out = tmp_path / "killed"

    def go_on(ranks: int) -> list[Any]:
        shards, experts = SPLITS[ranks]
        parallel = [
            f"training.parallel.{name}={value}"
            for name, value in (("shard_ranks", shards), ("expert_ranks", experts))
        ]
        return train(ranks, out, *moe, *parallel)

    four = go_on(4)
    wait_for(out, 12, four)
    four[2].kill()
    said = ended_ranks(four)
    assert [process.returncode for process in four] == [1, 1, -signal.SIGKILL, 1]
    assert "another rank has ended" in "".join(said)
    two = go_on(2)
    wait_for(out, 25, two)
    two[1].send_signal(signal.SIGTERM)  # one is told, and all stop and save
    said = ended_ranks(two)
    assert [process.returncode for process in two] == [128 + signal.SIGTERM] * 2
    assert "stopped by SIGTERM at step" in "".join(said)
    [said] = ended_ranks(go_on(1))
    assert "going on from step" in said

    assert last_state(out) == last_state(tmp_path / "whole")
    found, expected = (read_metrics(each / "metrics.jsonl") for each in (out, tmp_path / "whole"))
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.pop("phase") == theirs.pop("phase")
        assert mine == pytest.approx(theirs, rel=1e-3)
    streams = [json.loads((each / "stream.json").read_text()) for each in (out, tmp_path / "whole")]
    assert streams[0] == streams[1]
