import pytest
import torch
import torch.nn.functional as F

from chiasm.data.batch import Modality
from chiasm.model.experts import Experts, Routing


def loop_over_experts(experts: Experts, x_MD: torch.Tensor, expert_M: torch.Tensor):
    """The reference: every position by itself."""
    rows = []
    for x_D, expert in zip(x_MD, expert_M.tolist(), strict=True):
        gate, up = (experts.gate_up[expert] @ x_D).chunk(2)
        rows.append(experts.down[expert] @ (F.silu(gate) * up))
    return torch.stack(rows)


def random_experts(num_experts: int) -> Experts:
    experts = Experts(num_experts, width=16, hidden_width=32)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return experts


@pytest.mark.parametrize(
    "expert_M",
    [
        torch.tensor([1, 0, 2, 1, 1, 0, 2, 2, 0, 1, 1, 0]),
        torch.tensor([1] * 12),  # experts 0 and 2 get nothing
        torch.tensor([2] * 11 + [0]),
    ],
)
def test_grouped_product_matches_a_loop_over_experts(expert_M):
    experts = random_experts(3)
    x_BTD = torch.randn(2, 6, 16)
    results = []
    for reference in (False, True):
        experts.zero_grad()
        x = x_BTD.clone().requires_grad_()
        if reference:
            y = loop_over_experts(experts, x.flatten(0, 1), expert_M).view(2, 6, 16)
        else:
            y = experts(x, Routing.by_expert(expert_M, 3))
        y.square().sum().backward()
        results.append([y.detach(), x.grad, *(p.grad.clone() for p in experts.parameters())])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_one_shared_expert_needs_no_routing():
    experts, x = random_experts(1), torch.randn(2, 6, 16)
    routing = Routing.by_expert(torch.zeros(12, dtype=torch.int64), 1)
    torch.testing.assert_close(experts(x, None), experts(x, routing))


def test_a_gradient_of_stride_zero_is_accepted():
    experts, x = random_experts(2), torch.randn(1, 6, 16, requires_grad=True)
    experts(x, Routing.by_expert(torch.tensor([0, 1, 0, 1, 1, 0]), 2)).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_dispatch_and_combine_undo_each_other():
    routing = Routing.by_expert(torch.randint(0, 4, (50,)), 4)
    x = torch.randn(50, 3)
    assert torch.equal(routing.combine(routing.dispatch(x)), x)


def test_sorting_is_stable_and_ends_count_the_rows():
    expert_M = torch.tensor([2, 0, 2, 0, 3])
    routing = Routing.by_expert(expert_M, 4)
    assert routing.order_M.tolist() == [1, 3, 0, 2, 4]
    assert routing.ends_E.tolist() == [2, 2, 4, 5]
    assert routing.ends_E.dtype == torch.int32


def test_modality_sends_vision_to_its_own_expert():
    modality = torch.tensor([[Modality.TEXT, Modality.VISION, Modality.PADDING]])
    assert Routing.by_modality(modality).ends_E.tolist() == [2, 3]


def test_a_position_uses_one_expert():
    assert random_experts(3).idle_parameters() == 2 * (64 * 16 + 16 * 32)
    assert random_experts(3).flops(rows=5) == 2 * 5 * (64 * 16 + 16 * 32)
