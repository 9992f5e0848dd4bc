"""How evenly experts are used, told by modality: global balance can hide a starved modality.

Shape suffixes: Q blocks with a router, X modalities, E routed experts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor


def load_values(load_QXE: Tensor, modalities: Sequence[str]) -> dict[str, float]:
    """Numbers of a step's assignments, for each modality and for all together.

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
