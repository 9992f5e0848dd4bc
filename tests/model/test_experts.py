"""Experts in one grouped product against a loop over positions."""

import pytest
import torch
import torch.nn.functional as F

from chiasm.model.elementwise import EPSILON
from chiasm.model.experts import Experts, MixtureOfExperts
from chiasm.model.layers import Linear, RMSNorm
from chiasm.model.routing import Routing
from chiasm.model.settings import MoeSettings

DTYPE = torch.float64


def expert_output(experts: Experts, expert: int, x_D: torch.Tensor) -> torch.Tensor:
    gate, up = (experts.gate_up[expert] @ x_D).chunk(2)
    return experts.down[expert] @ (F.silu(gate) * up)


def loop_over_positions(experts: Experts, x_MD, expert_MK, weight_MK):
    """The reference: every position by itself."""
    rows = []
    for x_D, own, weights in zip(x_MD, expert_MK.tolist(), weight_MK, strict=True):
        outputs = [
            weight * expert_output(experts, e, x_D) for e, weight in zip(own, weights, strict=True)
        ]
        rows.append(torch.stack(outputs).sum(0))
    return torch.stack(rows)


def filled(experts: Experts) -> Experts:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return experts.to(DTYPE)


def values_and_gradients(experts: Experts, x: torch.Tensor, compute) -> list[torch.Tensor]:
    experts.zero_grad()
    x = x.clone().requires_grad_()
    y = compute(x)
    y.square().sum().backward()
    gradients = [p.grad.clone() for p in experts.parameters() if p.grad is not None]
    return [y.detach(), x.grad, *gradients]


@pytest.fixture
def any_grouped_dtype(monkeypatch):
    """Grouped products in float64, which no kernel has: gradients can then be compared closely."""

    def grouped(a_AD, b_EDF, offs):
        begin, parts = 0, []
        for expert, end in enumerate(offs.tolist()):
            parts.append(a_AD[begin:end] @ b_EDF[expert])
            begin = end
        return torch.cat(parts)

    monkeypatch.setattr(F, "grouped_mm", grouped)


@pytest.mark.usefixtures("any_grouped_dtype")
@pytest.mark.parametrize(
    "expert_MK",
    [
        torch.tensor([1, 0, 2, 1, 1, 0, 2, 2, 0, 1, 1, 0])[:, None],
        torch.tensor([1] * 12)[:, None],  # experts 0 and 2 get nothing
        torch.tensor([[0, 2]] * 6 + [[2, 1]] * 6),
    ],
)
def test_float64_matches_a_loop_over_positions(expert_MK):
    experts = filled(Experts(3, width=16, hidden_width=32))
    weight_MK = torch.rand(expert_MK.shape, dtype=DTYPE)
    routing = Routing.by_expert(expert_MK, 3, weight_MK)
    x = torch.randn(2, 6, 16, dtype=DTYPE)
    fast = values_and_gradients(experts, x, lambda x: experts(x, routing))
    slow = values_and_gradients(
        experts,
        x,
        lambda x: loop_over_positions(experts, x.flatten(0, 1), expert_MK, weight_MK).view_as(x),
    )
    for got, expected in zip(fast, slow, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("num_experts", [3, 16])
def test_the_real_grouped_product_matches_a_loop_over_positions(num_experts):
    experts = filled(Experts(num_experts, width=16, hidden_width=32)).float()
    expert_MK = torch.rand(12, num_experts).topk(2).indices
    weight_MK = torch.rand(12, 2)
    routing = Routing.by_expert(expert_MK, num_experts, weight_MK)
    x = torch.randn(2, 6, 16)
    fast = values_and_gradients(experts, x, lambda x: experts(x, routing))
    slow = values_and_gradients(
        experts,
        x,
        lambda x: loop_over_positions(experts, x.flatten(0, 1), expert_MK, weight_MK).view_as(x),
    )
    for got, expected in zip(fast, slow, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("any_grouped_dtype")
@pytest.mark.parametrize("shared", ["none", "global", "modality"])
@pytest.mark.parametrize("score", ["softmax", "sigmoid"])
@pytest.mark.parametrize("weights", ["normalized", "raw"])
@pytest.mark.parametrize(
    ("modalities", "kinds"),
    [(2, (1, 2)), (2, (1,)), (2, (2,)), (2, (0, 1)), (3, (1, 2, 3)), (3, (3, 1)), (3, (0, 3))],
)
def test_a_mixture_matches_its_definition(shared, score, weights, modalities, kinds):
    """Scores, shared experts and weights, for batches that lack a modality too."""
    settings = MoeSettings(
        num_experts=7, granularity=3, shared_experts=shared, score=score, weights=weights
    )
    mixture = filled(MixtureOfExperts(settings, 12, 24, modalities))
    generator = torch.Generator().manual_seed(2)
    modality = torch.tensor(kinds)[torch.randint(len(kinds), (2, 5), generator=generator)]

    def definition(x):
        rows = []
        for x_D, kind in zip(x.flatten(0, 1), modality.flatten().tolist(), strict=True):
            logits = mixture.router.weight.float() @ x_D.float()
            scores = logits.softmax(0) if score == "softmax" else logits.sigmoid()
            best = scores.topk(settings.routed_choices).indices
            chosen = scores[best]
            chosen = chosen / chosen.sum() if weights == "normalized" else chosen
            y_D = sum(
                w * expert_output(mixture, e, x_D)
                for e, w in zip(best.tolist(), chosen, strict=True)
            )
            if shared != "none":
                own = 0 if shared == "global" else max(kind - 1, 0)
                y_D = y_D + expert_output(mixture.shared, own, x_D)
            rows.append(y_D)
        return torch.stack(rows).view_as(x)

    def fast(x):
        return mixture.transform(x, Routing.by_modality(modality, modalities))[0]

    x = torch.randn(2, 5, 12, dtype=DTYPE, generator=generator)
    results = (values_and_gradients(mixture, x, compute) for compute in (fast, definition))
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.usefixtures("any_grouped_dtype")
@pytest.mark.parametrize("kinds", [(1, 2, 3), (1, 3), (2, 3), (0, 2)])
def test_experts_by_modality_match_a_loop_over_positions(kinds):
    """Three modalities, and batches that lack some; padding goes with text."""
    experts = filled(Experts(3, width=16, hidden_width=32))
    modality = torch.tensor(kinds)[torch.randint(len(kinds), (2, 6))]
    routing = Routing.by_modality(modality, 3)
    expert_of = {0: 0, 1: 0, 2: 1, 3: 2}
    expert_MK = torch.tensor([[expert_of[kind]] for kind in modality.flatten().tolist()])
    weight_MK = torch.ones(12, 1, dtype=DTYPE)
    x = torch.randn(2, 6, 16, dtype=DTYPE)
    fast = values_and_gradients(experts, x, lambda x: experts(x, routing))
    slow = values_and_gradients(
        experts,
        x,
        lambda x: loop_over_positions(experts, x.flatten(0, 1), expert_MK, weight_MK).view_as(x),
    )
    for got, expected in zip(fast, slow, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("kinds", [(1, 2, 3), (1, 3), (0, 2)])
def test_layers_of_each_modality_match_a_loop_over_positions(kinds):
    """Projection and norm of a Mixture-of-Transformers, with gradients."""
    linear, norm = Linear(16, 24, modalities=3), RMSNorm(24, modalities=3)
    with torch.no_grad():
        for parameter in (*linear.parameters(), *norm.parameters()):
            parameter.copy_(torch.randn(parameter.shape))
    modality = torch.tensor(kinds)[torch.randint(len(kinds), (2, 6))]
    expert_of = {0: 0, 1: 0, 2: 1, 3: 2}

    def fast(x):
        return norm(linear(x, Routing.by_modality(modality, 3)), modality)

    def slow(x):
        rows = []
        for x_D, kind in zip(x.flatten(0, 1), modality.flatten().tolist(), strict=True):
            y_D = linear.weight[expert_of[kind]] @ x_D
            rows.append(F.rms_norm(y_D, (24,), norm.gain[expert_of[kind]], EPSILON))
        return torch.stack(rows).view(2, 6, 24)

    both, x = torch.nn.ModuleList((linear, norm)), torch.randn(2, 6, 16)
    results = (values_and_gradients(both, x, compute) for compute in (fast, slow))
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_one_shared_expert_needs_no_routing():
    experts, x = filled(Experts(1, width=16, hidden_width=32)).float(), torch.randn(2, 6, 16)
    routing = Routing.by_expert(torch.zeros(12, 1, dtype=torch.int64), 1)
    torch.testing.assert_close(experts(x, None), experts(x, routing))


def test_a_gradient_of_stride_zero_is_accepted():
    experts = filled(Experts(2, width=16, hidden_width=32)).float()
    x = torch.randn(1, 6, 16, requires_grad=True)
    experts(x, Routing.by_expert(torch.tensor([0, 1, 0, 1, 1, 0])[:, None], 2)).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_what_a_position_uses_is_counted():
    experts = Experts(3, width=16, hidden_width=32)
    assert experts.inactive_parameters() == 2 * (64 * 16 + 16 * 32)
    assert experts.flops(rows=5) == 2 * 5 * (64 * 16 + 16 * 32)
    settings = MoeSettings(num_experts=8, granularity=4, shared_experts="modality")
    one_expert = 3 * 16 * 8
    for modalities in (2, 3):
        mixture = MixtureOfExperts(settings, 16, 32, modalities)
        idle = mixture.inactive_parameters() + mixture.shared.inactive_parameters()
        assert idle == (8 - 4) * one_expert
        assert mixture.flops(rows=5) == 2 * 5 * (4 * one_expert + (8 - modalities) * 16)
