"""Functions with their gradient written out against a loop over positions in float64."""

from functools import partial

import pytest
import torch

from chiasm.model.elementwise import EPSILON
from chiasm.model.fused import ROWS_AT_ONCE, add_experts, add_product, normed_product


def swiglu(h_2F):
    gate_F, up_F = h_2F.chunk(2)
    return gate_F * torch.sigmoid(gate_F) * up_F


def one_by_one(x_MD, gain_XD, in_EFD, out_EDF, ends, between=swiglu):
    rows, number = [], 0
    for row, x_D in enumerate(x_MD):
        while row >= ends[number]:
            number += 1
        gain, weight, out = (own[number % len(own)] for own in (gain_XD, in_EFD, out_EDF))
        n_D = x_D / (x_D.square().mean() + EPSILON).sqrt() * gain
        rows.append(x_D + out @ between(weight @ n_D))
    return torch.stack(rows)


def compare(fast, reference, shapes, ends):
    """Values and gradients of both, the reference's in float64."""
    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(shape, generator=generator) for shape in shapes]
    weight = torch.randn(shapes[0], generator=generator)
    found = []
    for dtype, compute in ((torch.float32, fast), (torch.float64, reference)):
        leaves = [x.to(dtype, copy=True).requires_grad_() for x in given]
        y = compute(*leaves, ends)
        (y * weight).sum().backward()
        found.append([y.detach(), *(leaf.grad for leaf in leaves)])
    for got, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected.float(), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize(
    ("gains", "experts", "ends"),
    [(1, 1, (13,)), (1, 3, (4, 9, 13)), (3, 1, (4, 4, 13)), (3, 3, (0, 6, 13)), (1, 2, (13, 13))],
)
def test_experts_are_those_of_a_loop_over_positions(gains, experts, ends):
    """Runs may be empty; gains and experts are one for all or one for each run."""
    compare(add_experts, one_by_one, ((13, 6), (gains, 6), (experts, 16, 6), (experts, 6, 8)), ends)


def test_in_inference_experts_are_computed_some_rows_at_a_time():
    generator = torch.Generator().manual_seed(0)
    ends = (40, 40, 2 * ROWS_AT_ONCE + 70)
    shapes = ((ends[-1], 6), (3, 6), (3, 16, 6), (3, 6, 8))
    given = [torch.randn(shape, generator=generator) for shape in shapes]
    with torch.inference_mode():
        got = add_experts(*given, ends)
    expected = one_by_one(*(each.double() for each in given), ends)
    torch.testing.assert_close(got, expected.float(), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize(
    ("gains", "weights", "ends"),
    [(3, 3, (4, 9, 13)), (3, 3, (0, 6, 13)), (1, 1, (4, 9, 13)), (3, 1, (4, 9, 13))],
)
def test_single_products_are_those_of_a_loop_over_positions(gains, weights, ends):
    def by_runs(x_MD, gain_XD, weight_EFD, out_EDF, ends):
        y_MF = normed_product(x_MD, gain_XD, weight_EFD, ends).square()
        return add_product(x_MD, y_MF, out_EDF, ends)

    shapes = ((13, 6), (gains, 6), (weights, 8, 6), (weights, 6, 8))
    compare(by_runs, partial(one_by_one, between=torch.square), shapes, ends)


def test_a_gradient_of_stride_zero_is_accepted():
    x = torch.randn(5, 6, requires_grad=True)
    y = add_experts(x, torch.ones(1, 6), torch.randn(1, 8, 6), torch.randn(1, 6, 4), (5,))
    y.sum().backward()
    assert torch.isfinite(x.grad).all()
