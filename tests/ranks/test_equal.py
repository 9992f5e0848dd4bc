"""Ranks compute what one process computes: every way of splitting a model, every kind of model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow

MOE = {
    "model.experts": "moe",
    "model.moe.num_experts": 8,
    "model.moe.score": "sigmoid",
    "model.feedforward_width": 96,
    "objective.load_balance_weight": 0.05,
    "objective.router_z_weight": 0.01,
    "training.router_bias_rate": 0.001,
}
MODELS: dict[str, dict[str, Any]] = {
    "dense": {"model.experts": "dense"},
    "modality": {"model.time_conditioning": "adaptive"},
    "mot": {"model.attention_weights": "modality"},
    "moe": MOE,
    "moe-shared": {
        **MOE,
        "model.moe.num_experts": 10,
        "model.moe.shared_experts": "modality",
        "model.moe.dense_blocks": 1,
    },
    "two-streams": {
        "streams.seen": {
            "context_of": "image",
            "kind": "pixels",
            "image_pixels": 8,
            "patch_pixels": 2,
        }
    },
    "muon": {**MOE, "training.optimizer.kind": "muon"},
    "inner": {"model.inner.block": 1, "objective.inner.until_step": 30},
    "inner-average": {
        "model.inner.block": 1,
        "model.inner.target": "average",
        "training.ema_decay": 0.9,
        "training.gradient_accumulation_steps": 2,
    },
    "accumulated": {**MOE, "training.gradient_accumulation_steps": 2},
    "checkpointed": {**MOE, "training.activation_checkpointing": "full"},
    "shortcuts": {**MOE, "model.shortcut_steps": 8, "training.ema_decay": 0.9},
}
SPLITS = {
    2: {"copies": (1, 1), "messages": (1, 1), "shards": (2, 1), "experts": (1, 2), "both": (2, 2)},
    4: {"shards": (4, 1), "hybrid": (2, 1), "both": (4, 2)},
}
"""Ranks → (ranks of shards, ranks of experts). Copies are summed in shared memory, or by messages
where there is none."""


TRAINED = {
    2: {
        "copies": ("dense", "moe-shared", "inner"),
        "messages": ("dense",),
        "shards": (
            *("modality", "mot", "moe", "muon", "two-streams"),
            *("inner", "inner-average", "shortcuts"),
        ),
        "experts": ("moe", "muon", "shortcuts"),
        "both": ("moe-shared", "accumulated", "checkpointed"),
    },
    4: {"shards": ("modality",), "hybrid": ("moe",), "both": ("moe-shared",)},
}
"""Ranks → models by the way of splitting. Two ranks do not show the placement of weights with two
experts, nor copies of shards."""


def cases(ranks: int) -> dict[str, dict[str, Any]]:
    return {
        f"{split}-{model}": {
            **MODELS[model],
            "training.parallel.shard_ranks": SPLITS[ranks][split][0],
            "training.parallel.expert_ranks": SPLITS[ranks][split][1],
        }
        for split, models in TRAINED[ranks].items()
        for model in models
    }


Run = Callable[[int], Path]


@pytest.fixture(scope="module")
def run(
    ranks_recipe: Path,
    start_ranks: Callable[..., Any],
    ended_ranks: Callable[..., list[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """Trains all cases of so many ranks, once; returns the folder of their numbers."""
    folders: dict[int, Path] = {}

    def run(ranks: int) -> Path:
        if ranks not in folders:
            out = folders[ranks] = tmp_path_factory.mktemp(f"ranks-{ranks}")
            told = MODELS if ranks == 1 else cases(ranks)
            script = str(Path(__file__).parent / "trained.py")
            processes = start_ranks(ranks, [script, str(ranks_recipe), json.dumps(told), str(out)])
            said = ended_ranks(processes)
            assert [process.returncode for process in processes] == [0] * ranks, "\n".join(said)
        return folders[ranks]

    return run


@pytest.mark.parametrize(
    ("ranks", "case"), [(ranks, case) for ranks in SPLITS for case in cases(ranks)]
)
def test_ranks_equal_one_process(run: Run, ranks: int, case: str) -> None:
    split, _, model = case.partition("-")
    alone = torch.load(run(1) / f"{model}.pt")
    found = torch.load(run(ranks) / f"{case}.pt")
    for name, grad in alone["gradients"].items():
        largest = grad.abs().max()
        assert largest > 0, name
        assert (found["gradients"][name] - grad).abs().max() < 1e-5 * max(largest, 1), name
    for mine, theirs in zip(found["values"], alone["values"], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)
        assert mine["tokens"] == theirs["tokens"]
        assert mine["flops"] == theirs["flops"]
    assert found["validation"] == pytest.approx(alone["validation"], rel=1e-4)
    for name, weight in alone["weights"].items():
        assert (found["weights"][name] - weight).abs().max() < 1e-4, name
    if split == "shards":
        total = sum(weight.numel() * 4 for name, weight in alone["weights"].items())
        assert max(found["bytes"]) < 1.2 * total / ranks
