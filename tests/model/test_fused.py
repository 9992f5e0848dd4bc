"""Functions with their gradient written out against a loop over positions in float64."""

import pytest
import torch

from chiasm.model.elementwise import EPSILON
from chiasm.model.fused import ROWS_AT_ONCE, add_experts, add_product, normed_product


def one_by_one(x_MD, gain_XD, gate_up_EFD, down_EDF, ends):
    rows, number = [], 0
    for row, x_D in enumerate(x_MD):
        while row >= ends[number]:
            number += 1
        gain, gate_up, down = (own[number % len(own)] for own in (gain_XD, gate_up_EFD, down_EDF))
        n_D = x_D / (x_D.square().mean() + EPSILON).sqrt() * gain
        gate, up = (gate_up @ n_D).chunk(2)
        rows.append(x_D + down @ (gate * torch.sigmoid(gate) * up))
    return torch.stack(rows)


@pytest.mark.parametrize(
    ("gains", "experts", "ends"),
    [(1, 1, (13,)), (1, 3, (4, 9, 13)), (3, 1, (4, 4, 13)), (3, 3, (0, 6, 13)), (1, 2, (13, 13))],
)
def test_experts_are_those_of_a_loop_over_positions(gains, experts, ends):
    """Runs may be empty; gains and experts are one for all or one for each run."""
    generator = torch.Generator().manual_seed(experts)
    shapes = ((13, 6), (gains, 6), (experts, 16, 6), (experts, 6, 8))
    given = [torch.randn(shape, generator=generator) for shape in shapes]
    weight = torch.randn(13, 6, generator=generator)
    found = []
    for dtype, compute in ((torch.float32, add_experts), (torch.float64, one_by_one)):
        leaves = [x.to(dtype, copy=True).requires_grad_() for x in given]
        y = compute(*leaves, ends)
        (y * weight).sum().backward()
        found.append([y.detach(), *(leaf.grad for leaf in leaves)])
    for got, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected.float(), atol=2e-5, rtol=2e-5)


def test_in_inference_experts_are_computed_some_rows_at_a_time():
    generator = torch.Generator().manual_seed(0)
    ends = (40, 40, 2 * ROWS_AT_ONCE + 70)
    shapes = ((ends[-1], 6), (3, 6), (3, 16, 6), (3, 6, 8))
    given = [torch.randn(shape, generator=generator) for shape in shapes]
    with torch.inference_mode():
        got = add_experts(*given, ends)
    expected = one_by_one(*(each.double() for each in given), ends)
    torch.testing.assert_close(got, expected.float(), atol=2e-5, rtol=2e-5)


def products_one_by_one(x_MD, gain_XD, weight_EFD, out_EDF, ends):
    rows, number = [], 0
    for row, x_D in enumerate(x_MD):
        while row >= ends[number]:
            number += 1
        gain, weight, out = (own[number % len(own)] for own in (gain_XD, weight_EFD, out_EDF))
        n_D = x_D / (x_D.square().mean() + EPSILON).sqrt() * gain
        rows.append(x_D + out @ (weight @ n_D).square())
    return torch.stack(rows)


@pytest.mark.parametrize("ends", [(4, 9, 13), (0, 6, 13)])
def test_single_products_are_those_of_a_loop_over_positions(ends):
    generator = torch.Generator().manual_seed(0)
    shapes = ((13, 6), (3, 6), (3, 8, 6), (3, 6, 8))
    given = [torch.randn(shape, generator=generator) for shape in shapes]
    weight = torch.randn(13, 6, generator=generator)

    def by_runs(x_MD, gain_XD, weight_EFD, out_EDF, ends):
        y_MF = normed_product(x_MD, gain_XD, weight_EFD, ends).square()
        return add_product(x_MD, y_MF, out_EDF, ends)

    found = []
    for dtype, compute in ((torch.float32, by_runs), (torch.float64, products_one_by_one)):
        leaves = [x.to(dtype, copy=True).requires_grad_() for x in given]
        y = compute(*leaves, ends)
        (y * weight).sum().backward()
        found.append([y.detach(), *(leaf.grad for leaf in leaves)])
    for got, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected.float(), atol=2e-5, rtol=2e-5)


def test_a_gradient_of_stride_zero_is_accepted():
    x = torch.randn(5, 6, requires_grad=True)
    y = add_experts(x, torch.ones(1, 6), torch.randn(1, 8, 6), torch.randn(1, 6, 4), (5,))
    y.sum().backward()
    assert torch.isfinite(x.grad).all()
