"""What a learned mixture costs: a training step against the dense model of equal active FLOPs.

One run takes a step of each model in turn, round after round, so that a machine that slows down
slows all of them. All have the same width, depth, heads, active hidden width and batch (rows of
text and latents, see workloads.py); they differ in the rule that sends positions to experts. The
shares of a step are those of the profiler's operations: grouped and plain matrix products, routing
(scores, the choice, sorting), and moving rows to experts and back. Bytes are those of parameters
and of tensors that the forward pass keeps for the backward pass.

    python benchmarks/experts.py [--width 512] [--depth 4] [--rounds 5] [--seed 0]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from record import write_record
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from train_step import optimized, seconds
from workloads import VOCABULARY, Workload, equal_rows

from chiasm.batch.streams import IMAGE
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.model.work import FORWARD_AND_BACKWARD, Work
from chiasm.training.losses import Counts
from chiasm.training.objective import Objective
from chiasm.training.settings import ObjectiveSettings

CHANNELS = 64

RULES: dict[str, dict[str, Any]] = {
    "dense": {"experts": "dense"},
    "by modality": {"experts": "modality"},
    "8 experts, 2 chosen": {"experts": "moe", "moe": {"num_experts": 8, "granularity": 2}},
    "64 experts, 8 chosen": {"experts": "moe", "moe": {"num_experts": 64, "granularity": 8}},
    "256 experts, 16 chosen": {"experts": "moe", "moe": {"num_experts": 256, "granularity": 16}},
}

PARTS = {
    "grouped products": ("_grouped_mm",),
    "other products": ("::mm", "addmm", "::bmm", "scaled_dot_product"),
    "routing": ("topk", "sort", "softmax", "searchsorted", "logsumexp", "index_add"),
    "moving rows": ("index_select", "::sum"),
}
"""Part of a step → names of the operations that are counted for it."""


class Model:
    """A decoder under one rule, with a step to be timed."""

    def __init__(self, rule: dict[str, Any], width: int, depth: int, workload: Workload) -> None:
        heads = width // 64
        settings = ModelSettings(
            width=width,
            depth=depth,
            query_heads=heads,
            key_value_heads=heads,
            feedforward_width=4 * width,
            **rule,
        )
        self.batch, objective = workload.batch, Objective(ObjectiveSettings())
        self.decoder = Decoder(settings, vocabulary=VOCABULARY, streams=self.batch.streams)
        latents = {IMAGE: torch.randn(workload.latent_positions, CHANNELS)}

        def loss() -> Tensor:
            losses = objective.losses(self.decoder, self.batch, latents, 0)
            return objective.total(losses, Counts.of([self.batch]))

        self.loss: Callable[[], Tensor] = loss
        self.step = optimized(self.decoder, loss)

    def figures(self) -> dict[str, Any]:
        """What does not depend on the clock."""
        count = self.decoder.count_parameters()
        return {
            "active_parameters": count.active,
            "total_parameters": count.total,
            "step_flops": FORWARD_AND_BACKWARD
            * self.decoder.forward_flops(Work.useful(self.batch)),
            "parameter_bytes": sum(p.nbytes for p in self.decoder.parameters()),
            "kept_bytes": kept_bytes(self.loss),
        }


def kept_bytes(loss: Callable[[], Tensor]) -> int:
    """Bytes of all storages that the forward pass keeps for the backward pass, each once."""
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        held = loss()
    del held
    return sum(storages.values())


def shares(step: Callable[[], None]) -> dict[str, float]:
    """Part → its share of the profiled time of a step."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step()
    spent = {event.key: event.self_cpu_time_total for event in profiled.key_averages()}
    whole = sum(spent.values())
    found = {
        part: sum(time for name, time in spent.items() if any(own in name for own in names))
        for part, names in PARTS.items()
    }
    return {part: round(time / whole, 3) for part, time in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    workload = equal_rows(arguments.seed, CHANNELS)
    models = {
        name: Model(rule, arguments.width, arguments.depth, workload)
        for name, rule in RULES.items()
    }
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(arguments.rounds + 1):
        for name, model in models.items():
            times[name].append(seconds(model.step, 1))
    results = {}
    for name, model in models.items():
        ratios = [own / dense for own, dense in zip(times[name], times["dense"], strict=True)][1:]
        results[name] = {
            **model.figures(),
            "seconds": round(median(times[name][1:]), 4),
            "over_dense": round(median(ratios), 3),
            "over_dense_of_rounds": [round(ratio, 3) for ratio in ratios],
            "shares": shares(model.step),
        }
        print(f"{name}: {results[name]['over_dense']:.2f} times dense, {results[name]['shares']}")
    write_record("experts", {"width": arguments.width, "depth": arguments.depth, "rules": results})


if __name__ == "__main__":
    main()
