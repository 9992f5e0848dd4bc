"""Sums and counts of losses as the named numbers that a run reports.

Shape suffixes: Q blocks with a router, X modalities, E routed experts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from chiasm.batch.streams import IMAGE
from chiasm.training.losses import NOISE_BINS, Losses
from chiasm.training.objective import Objective


def tally(
    losses: Losses, objective: Objective, source_names: Sequence[str], modalities: Sequence[str]
) -> dict[str, float]:
    """Means over targets: overall, by source, and of the flow loss by tenths of flow time; and what
    routers did.

    What has no target in these losses is left out. ``flow_loss_by_time/0.3`` covers flow times
    from 0.3 up to 0.4, ``flow_loss_by_time/shortcuts`` what takes long steps. Those of streams
    beside pictures begin with their names: ``series/flow_loss``. ``inner_loss`` is of the head in
    the middle.
    """
    times = [*(f"{number / NOISE_BINS:.1f}" for number in range(NOISE_BINS)), "shortcuts"]
    values = {"loss": float(objective.total(losses, losses.counts))}
    named = {"text_loss": losses.text}
    for stream, own in losses.flow.items():
        named["flow_loss" if stream == IMAGE else f"{stream}/flow_loss"] = own
    for stream, own in losses.inner.items():
        named["inner_loss" if stream == IMAGE else f"{stream}/inner_loss"] = own
    for name, own in named.items():
        values |= _means(name, [""], own.sum, own.count)
    for name, own in named.items():
        values |= _means(f"{name}/", source_names, own.sum_S, own.count_S)
    for name, own in named.items():
        own_times = times[: len(own.sum_bins)]
        values |= _means(f"{name}_by_time/", own_times, own.sum_bins, own.count_bins)
    if losses.load_QXE.numel():
        positions = losses.position_count
        values |= _means("balance_loss", [""], losses.balance_sum, positions)
        values |= _means("router_z_loss", [""], losses.router_z_sum, positions)
        values |= load_values(losses.load_QXE, modalities)
    return values


def load_values(load_QXE: Tensor, modalities: Sequence[str]) -> dict[str, float]:
    """How evenly a step used experts, by modality: global balance can hide a starved modality.

    ``experts/largest_load/…``: the busiest expert's load over the mean load, the worst block's;
    ``experts/entropy/…``: of the loads, over ln E, mean over blocks (1 is even);
    ``experts/unused/…``: share of experts that got nothing, mean over blocks.
    A modality without positions is left out. Nothing is ever dropped.
    """
    load_QXE = load_QXE.detach().cpu().double()
    loads = dict(zip(modalities, load_QXE.unbind(1), strict=True)) | {"all": load_QXE.sum(1)}
    values = {}
    for name, load_QE in loads.items():
        if not load_QE.sum():
            continue
        share_QE = load_QE / load_QE.sum(dim=1, keepdim=True)
        num_experts = share_QE.shape[1]
        entropy_Q = -(share_QE * share_QE.clamp_min(1e-300).log()).sum(dim=1)
        values[f"experts/largest_load/{name}"] = float(share_QE.max()) * num_experts
        values[f"experts/entropy/{name}"] = float(entropy_Q.mean()) / math.log(max(num_experts, 2))
        values[f"experts/unused/{name}"] = float((load_QE == 0).double().mean())
    return values


def _means(prefix: str, names: Sequence[str], sums: Tensor, counts: Tensor) -> dict[str, float]:
    triples = zip(names, sums.reshape(-1).tolist(), counts.reshape(-1).tolist(), strict=True)
    return {f"{prefix}{name}": value / count for name, value, count in triples if count}
