from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from chiasm.model import cross_entropy
from chiasm.model.cross_entropy import linear_cross_entropy

POSITIONS, WIDTH, VOCABULARY = 37, 12, 101


class Largest(TorchDispatchMode):
    """The largest number of elements of any tensor that an operation returned."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        own = (each.numel() for each in tree_leaves(found) if isinstance(each, torch.Tensor))
        self.elements = max(self.elements, *own, 0)
        return found


@pytest.fixture
def chunks(monkeypatch) -> Callable[[int], None]:
    """Sets how many positions have logits at once."""
    return lambda positions: monkeypatch.setattr(
        cross_entropy, "LOGITS_BYTES", 4 * VOCABULARY * positions + 3
    )


def given(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    x_RD = 2 * torch.randn(POSITIONS, WIDTH, generator=generator)
    weight_VD = torch.randn(VOCABULARY, WIDTH, generator=generator)
    label_R = torch.randint(VOCABULARY, (POSITIONS,), generator=generator)
    weight = weight_VD.double() if dtype == torch.float64 else weight_VD
    return x_RD.to(dtype).requires_grad_(), weight.requires_grad_(), label_R


def found(loss, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """Sum, losses, gradients of x and of the weight; a step weighs the sum."""
    x_RD, weight_VD, label_R = given(dtype)
    total, loss_R = loss(x_RD, weight_VD, label_R)
    (0.3 * total).backward()
    assert not loss_R.requires_grad
    return [total.detach(), loss_R, x_RD.grad, weight_VD.grad]


def plain(x_RD, weight_VD, label_R):
    loss_R = F.cross_entropy(x_RD.double() @ weight_VD.double().T, label_R, reduction="none")
    return loss_R.sum(), loss_R.detach()


@pytest.mark.parametrize("positions", [1, 5, 36, 37, 400])
@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_it_equals_the_plain_loss_in_values_and_gradients(chunks, positions, dtype, within):
    chunks(positions)
    for one, wanted in zip(found(linear_cross_entropy, dtype), found(plain, dtype), strict=True):
        torch.testing.assert_close(one.double(), wanted.double(), atol=within, rtol=within)


def test_a_vocabulary_beyond_the_limit_takes_position_by_position(monkeypatch):
    expected = found(linear_cross_entropy)
    monkeypatch.setattr(cross_entropy, "LOGITS_BYTES", 7)
    for one, wanted in zip(found(linear_cross_entropy), expected, strict=True):
        torch.testing.assert_close(one, wanted, atol=2e-5, rtol=2e-5)


def test_bfloat16_is_as_near_to_the_truth_as_the_plain_road(chunks):
    """Products in bfloat16, losses and the weight's gradient in float32."""
    truth = found(plain, torch.bfloat16)
    errors = []
    for positions in (400, 5):
        chunks(positions)
        own = found(linear_cross_entropy, torch.bfloat16)
        assert [each.dtype for each in own] == [torch.float32] * 2 + [torch.bfloat16, torch.float32]
        errors.append(
            [float((a.double() - b.double()).norm()) for a, b in zip(own, truth, strict=True)]
        )
    for whole, chunked in zip(*errors, strict=True):
        assert chunked <= 1.2 * whole


def test_the_logits_are_never_all_there(chunks):
    largest = []
    for positions in (400, 5):
        chunks(positions)
        with Largest() as mode:
            found(linear_cross_entropy)
        largest.append(mode.elements)
    assert largest == [POSITIONS * VOCABULARY, WIDTH * VOCABULARY]  # then the weight's gradient


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_without_gradients_none_are_made(chunks, context):
    chunks(5)
    with context(), Largest() as mode:
        total, loss_R = linear_cross_entropy(*given())
    assert mode.elements == VOCABULARY * WIDTH  # `given` draws the weight
    expected = found(plain)
    torch.testing.assert_close(total, expected[0].float())
    torch.testing.assert_close(loss_R, expected[1].float())
