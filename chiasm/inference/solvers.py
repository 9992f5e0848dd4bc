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


class Solution:
    """A point on its way from ``times[0]`` to ``times[-1]``, one velocity after another.

    Args:
        z: the point at ``times[0]``, of any shape.
        times: [S], rising, to 1 or before.
        solver: how velocities lead on.
    """

    def __init__(self, z: Tensor, times: Tensor, solver: Solver = Solver.EULER) -> None:
        self.point = z
        """Where the next velocity is taken; at the end, the result."""
        self.steps = 0
        """Steps that are done."""
        self._times, self._solver = times.tolist(), solver
        self._begin: tuple[Tensor, Tensor] | None = None
        """Of Heun's method between its two velocities: the point at the step's begin, and its
        velocity."""

    @property
    def ended(self) -> bool:
        """Whether it has arrived."""
        return self.steps == len(self._times) - 1

    @property
    def time(self) -> float:
        """When the next velocity is taken."""
        return self._times[self.steps + (self._begin is not None)]

    def advance(self, velocity: Tensor) -> None:
        """Goes on by the velocity at :attr:`point` and :attr:`time`."""
        next_time = self._times[self.steps + 1]
        step = next_time - self._times[self.steps]
        if self._begin is not None:
            z, begin = self._begin
            self.point, self._begin = z + step / 2 * (begin + velocity), None
        else:
            between = self._solver == Solver.HEUN and next_time < 1
            self._begin = (self.point, velocity) if between else None
            self.point = self.point + step * velocity
        self.steps += self._begin is None


def denoise(velocity: Velocity, z: Tensor, times: Tensor, solver: Solver = Solver.EULER) -> Tensor:
    """Integrates the flow from ``z``, of any shape, at ``times[0]``; returns z at ``times[-1]``.

    ``times`` [S] rise and end at 1 or before.
    """
    solution = Solution(z, times, solver)
    while not solution.ended:
        solution.advance(velocity(solution.point, solution.time))
    return solution.point
