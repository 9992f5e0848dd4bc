"""Sorting positions by expert and bringing them back."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.batch.streams import PADDING, TEXT
from chiasm.model.routing import Routing


def test_sorting_is_stable_and_ends_count_the_rows():
    routing = Routing.by_expert(torch.tensor([[2], [0], [2], [0], [3]]), 4)
    assert routing.order_A.tolist() == [1, 3, 0, 2, 4]
    assert routing.ends_E.tolist() == [2, 2, 4, 5]
    assert routing.ends_E.dtype == torch.int32


def test_each_modality_has_its_own_expert_and_padding_that_of_text():
    modality = torch.tensor([[3, TEXT, 2, PADDING, 3]])
    routing = Routing.by_modality(modality, 3)
    assert routing.order_A.tolist() == [1, 3, 2, 0, 4]
    assert routing.ends_E.tolist() == [2, 3, 5]
    lacking = torch.tensor([[TEXT, 3]])
    assert Routing.by_modality(lacking, 3).ends_E.tolist() == [1, 1, 2]


@given(
    st.integers(1, 20), st.integers(1, 4), st.integers(4, 9), st.integers(0, 10_000), st.booleans()
)
@settings(deadline=None, max_examples=60)
def test_every_assignment_arrives_once_and_comes_back_to_its_position(
    positions, choices, experts, seed, weighted
):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(positions, experts, generator=generator)
    expert_MK = scores.topk(choices).indices
    weight_MK = torch.rand(positions, choices, generator=generator) if weighted else None
    routing = Routing.by_expert(expert_MK, experts, weight_MK)
    x_MD = torch.randn(positions, 3, generator=generator)
    sorted_AD = routing.dispatch(x_MD)
    begin = 0
    for expert, end in enumerate(routing.ends_E.tolist()):
        wanted = [row for row, own in enumerate(expert_MK.tolist()) if expert in own]
        assert torch.equal(sorted_AD[begin:end], x_MD[wanted])
        if weight_MK is not None:
            own = weight_MK[expert_MK == expert]
            assert torch.equal(routing.weight_A1[begin:end, 0], own)
        begin = end
    assert begin == positions * choices, "none is dropped"
    torch.testing.assert_close(routing.combine(sorted_AD), choices * x_MD)


@pytest.mark.parametrize("choices", [1, 3])
def test_gradients_are_those_of_plain_indexing(choices):
    expert_MK = torch.rand(7, 5).topk(choices).indices
    routing = Routing.by_expert(expert_MK, 5, torch.rand(7, choices, dtype=torch.float64))
    x = torch.randn(7, 2, dtype=torch.float64, requires_grad=True)
    y = torch.randn(7 * choices, 2, dtype=torch.float64, requires_grad=True)
    w = torch.rand(7, choices, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(routing.dispatch, x)
    torch.autograd.gradcheck(routing.combine, y)
    torch.autograd.gradcheck(lambda w: Routing.by_expert(expert_MK, 5, w).weight_A1, w)
