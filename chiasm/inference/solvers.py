"""Solvers of the flow's ordinary differential equation dz/dt = v(z, t), from noise to data.

Pure functions, independent of models and modalities. Time runs from 0 (noise) to 1 (data).

- Euler: one velocity per step, error of first order in the step.
- Heun: the mean of the velocities at both ends of the Euler step, error of second order. The last
  step ends at t = 1, where an x-prediction divides by 1 - t and so has no velocity; it is taken as
  a plain Euler step (Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based
  Generative Models", Algorithm 1).

Shape suffixes: S points of the time grid.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from chiasm.inference.request import Solver

Velocity = Callable[[Tensor, float], Tensor]
"""(z, t) -> dz/dt, the shape of z."""


def time_grid(num_steps: int, shift: float) -> Tensor:
    """Returns the S = num_steps + 1 times that a solver visits, from 0 to 1, float64 [S].

    Evenly spaced times u pass through the shift of training, t = u / (u + shift·(1 - u)) (Esser et
    al. 2024, in this project's direction of time), so that steps are spent where training spent its
    examples.
    """
    even_S = torch.linspace(0, 1, num_steps + 1, dtype=torch.float64)
    return even_S / (even_S + shift * (1 - even_S))


def denoise(velocity: Velocity, z: Tensor, times: Tensor, solver: Solver = Solver.EULER) -> Tensor:
    """Integrates the flow from ``z``, of any shape, at ``times[0]``; returns z at ``times[-1]``.

    ``times`` [S] rise and end at 1 or before.
    """
    for time, next_time in pairwise(times.tolist()):
        step, begin = next_time - time, velocity(z, time)
        if solver == Solver.HEUN and next_time < 1:
            end = velocity(z + step * begin, next_time)
            z = z + step / 2 * (begin + end)
        else:
            z = z + step * begin
    return z
