"""What is rehearsed for a rank is what ranks hold that run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chiasm.assembly.footprint import footprint
from chiasm.recipe import load_recipe, write_recipe

pytestmark = pytest.mark.slow

CASES: dict[str, dict[str, Any]] = {
    "dense": {"model.experts": "dense"},
    "moe": {"model.experts": "moe", "model.moe.num_experts": 8, "model.feedforward_width": 96},
}
CASES["experts"] = {**CASES["moe"], "training.parallel.expert_ranks": 2}


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_hold_what_was_rehearsed(
    start_ranks: Callable[..., Any],
    ended_ranks: Callable[..., list[str]],
    ranks_recipe: Path,
    tmp_path: Path,
    case: str,
) -> None:
    settings = load_recipe(ranks_recipe, {**CASES[case], "training.parallel.shard_ranks": 2})
    write_recipe(settings, tmp_path / "recipe.toml")
    script = str(Path(__file__).parent / "held.py")
    processes = start_ranks(2, [script, str(tmp_path / "recipe.toml")])
    said = ended_ranks(processes)
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    line = next(line for line in said[0].splitlines() if line.startswith("held "))
    first, _ = json.loads(line.removeprefix("held "))
    rehearsed = footprint(settings, 2).memory._asdict()
    assert sum(first.values()) > 100_000
    for part, held in first.items():
        assert rehearsed[part] == pytest.approx(held, rel=0.1), part
