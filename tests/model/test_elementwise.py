import pytest
import torch
import torch.nn.functional as F

from chiasm.model.elementwise import EPSILON, rms_norm, rotate, swiglu


def outputs_and_gradients(function, *inputs):
    leaves = [x.clone().requires_grad_() for x in inputs]
    y = function(*leaves)
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(9))
    (y * weight.to(y.dtype)).sum().backward()
    return [y.detach(), *(leaf.grad for leaf in leaves)]


def assert_same(function, reference, *inputs):
    """In float32 the function runs its CPU form; the reference runs in float64."""
    got = outputs_and_gradients(function, *inputs)
    expected = outputs_and_gradients(reference, *(x.double() for x in inputs))
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b.float(), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("shape", [(7, 24), (2, 3, 4, 16), (1, 1)])
def test_rms_norm_matches_its_definition(shape):
    x = torch.randn(shape) * 3 + 1  # a mean that is not zero: layer norm would differ
    gain = torch.randn(shape[-1])
    assert_same(rms_norm, lambda x, g: F.rms_norm(x, (x.shape[-1],), g, EPSILON), x, gain)


def test_rms_norm_of_strided_rows_and_of_zeros():
    heads = torch.randn(2, 5, 6, 8)
    for x in (heads[:, :, 1:4], torch.zeros(3, 8)):
        assert_same(
            rms_norm, lambda x, g: F.rms_norm(x, (x.shape[-1],), g, EPSILON), x, torch.randn(8)
        )


def test_swiglu_matches_its_definition():
    def reference(h):
        gate, up = h.chunk(2, dim=-1)
        return gate * torch.sigmoid(gate) * up

    assert_same(swiglu, reference, torch.randn(5, 3, 32))


def test_rotate_turns_neighbouring_pairs_by_their_angle():
    x, angle = torch.randn(2, 5, 3, 8), torch.randn(2, 5, 4)
    turn = torch.stack((angle.cos(), angle.sin()), dim=-1).flatten(-2)
    got = rotate(x, turn).unflatten(-1, (4, 2))
    pair = torch.view_as_complex(x.unflatten(-1, (4, 2)).contiguous())
    expected = pair * torch.polar(torch.ones(2, 5, 1, 4), angle.unsqueeze(2))
    torch.testing.assert_close(got, torch.view_as_real(expected))


def test_the_cpu_form_of_rotate_matches_the_plain_one():
    x, turn = torch.randn(2, 5, 3, 8), torch.randn(2, 5, 8)
    assert_same(lambda x: rotate(x, turn), lambda x: rotate(x, turn.double()), x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_types_keep_their_type(dtype):
    x = torch.randn(4, 6, 2, 8, dtype=dtype)
    assert rms_norm(x, torch.ones(8, dtype=dtype)).dtype == dtype
    assert swiglu(x).dtype == dtype
    assert rotate(x, torch.randn(4, 6, 8)).dtype == dtype
