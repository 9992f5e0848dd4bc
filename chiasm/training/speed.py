"""How fast a step is, against what this machine can do.

``mfu_exact`` is the share of the peak that the model's own matrix products use: every weight on
the tokens that really pass through it, attention on the pairs that the mask really allows, forward
once and backward twice; no recomputation, no frozen encoder, no padding.
"""

from __future__ import annotations

import time
from functools import cache

import torch

from chiasm.device import synchronise

_DENSE_BFLOAT16_FLOPS_PER_SECOND = {"H200": 989.4e12, "H100": 989.4e12, "A100": 312e12}
"""Data-sheet peaks by a part of the device's name: dense, without 2:4 sparsity."""

WIDTH = 1024
"""Rows and columns of the matrices whose product is measured."""


@cache
def peak_flops_per_second(device: torch.device, dtype: torch.dtype) -> float:
    """What the device can do at most: its data sheet's figure, else the best measured product."""
    if device.type == "cuda" and dtype == torch.bfloat16:
        name = torch.cuda.get_device_name(device)
        for part, flops_per_second in _DENSE_BFLOAT16_FLOPS_PER_SECOND.items():
            if part in name:
                return flops_per_second
    generator = torch.Generator(device).manual_seed(0)  # leaves the process's own state alone
    left, right = torch.randn(2, WIDTH, WIDTH, device=device, generator=generator).to(dtype)
    seconds = []
    for _ in range(8):
        synchronise(device)
        begin = time.perf_counter()
        left @ right
        synchronise(device)
        seconds.append(time.perf_counter() - begin)
    return 2 * WIDTH**3 / min(seconds)
