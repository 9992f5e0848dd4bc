"""Solvers against closed forms; the time grid against the shift of training."""

import math

import pytest
import torch
from torch import Tensor

from chiasm.inference.request import Solver
from chiasm.inference.solvers import denoise, time_grid

RATE = -1.7


def decay(z: Tensor, time: float) -> Tensor:
    """dz/dt = RATE·z, whose solution is z(0)·exp(RATE·t)."""
    return RATE * z


def error(solver: Solver, num_steps: int) -> float:
    z = torch.tensor([1.0], dtype=torch.float64)
    end = denoise(decay, z, time_grid(num_steps, 1.0), solver)
    return abs(float(end) - math.exp(RATE))


def test_euler_is_the_product_of_its_steps() -> None:
    times = time_grid(7, 3.0)
    factor = math.prod(1 + RATE * float(step) for step in times.diff())
    z = torch.randn(2, 3, dtype=torch.float64)
    torch.testing.assert_close(denoise(decay, z, times), factor * z)


def test_a_straight_flow_is_exact_in_one_step() -> None:
    noise, data = torch.randn(4), torch.randn(4)
    end = denoise(lambda z, time: data - noise, noise, time_grid(1, 8.0))
    torch.testing.assert_close(end, data)


@pytest.mark.parametrize(("solver", "order"), [(Solver.EULER, 1), (Solver.HEUN, 2)])
def test_order_of_the_error(solver: Solver, order: int) -> None:
    ratio = error(solver, 40) / error(solver, 80)
    assert ratio == pytest.approx(2**order, rel=0.1)


def test_heun_asks_for_no_velocity_at_the_end() -> None:
    asked = []

    def velocity(z: Tensor, time: float) -> Tensor:
        asked.append(time)
        return torch.zeros_like(z)

    denoise(velocity, torch.zeros(1), time_grid(4, 2.0), Solver.HEUN)
    assert len(asked) == 7
    assert max(asked) < 1


def test_time_grid_is_shifted_towards_noise() -> None:
    even, shifted = time_grid(10, 1.0), time_grid(10, 4.0)
    torch.testing.assert_close(even, torch.linspace(0, 1, 11, dtype=torch.float64))
    assert shifted[0] == 0
    assert shifted[-1] == 1
    assert (shifted.diff() > 0).all()
    assert (shifted[1:-1] < even[1:-1]).all()
    assert float(shifted[5]) == pytest.approx(0.5 / (0.5 + 4 * 0.5))
