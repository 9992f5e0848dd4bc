import pytest
import torch
import torch.nn.functional as F

from chiasm.model.elementwise import EPSILON, apply_rotary, rms_norm, rotate, swiglu, take_rows


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


@pytest.mark.parametrize("shape", [(1000, 16), (1024, 128), (4, 256, 192), (4097, 40)])
def test_the_number_of_threads_changes_no_bit_of_rms_norm(shape):
    x, gain, before = torch.randn(shape), torch.randn(shape[-1]), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3, 4, 8):
            torch.set_num_threads(threads)
            found.append(outputs_and_gradients(rms_norm, x, gain))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


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


@pytest.mark.parametrize("with_gain", [True, False])
def test_the_cpu_form_of_turned_heads_matches_the_plain_one(with_gain):
    angle = torch.randn(2, 5, 4)
    turn = torch.stack((angle.cos(), angle.sin()), dim=-1).flatten(-2)  # a turn keeps lengths

    def rotated(heads, gain):
        return apply_rotary(heads, gain if with_gain else None, turn, 6) + 0 * gain.sum()

    assert_same(rotated, rotated, torch.randn(2, 5, 8, 8), torch.randn(6))


def test_query_key_norm_gives_each_head_its_gain_as_root_mean_square():
    turn, gain = torch.tensor([1.0, 0.0] * 4).expand(1, 5, 8), torch.tensor([0.5, 2.0, 3.0])
    heads = torch.randn(1, 5, 4, 8)
    rotated = apply_rotary(heads, gain, turn, 3)
    sizes = rotated[:, :, :3].square().mean(-1).sqrt()
    torch.testing.assert_close(sizes, gain.expand(1, 5, 3))
    assert torch.equal(rotated[:, :, 3:], heads[:, :, 3:])


def test_taken_rows_send_their_gradient_home():
    x = torch.randn(5, 3, requires_grad=True)
    rows = torch.tensor([3, 0])
    weight = torch.randn(2, 3)
    y = take_rows(x, rows)
    (y * weight).sum().backward()
    assert torch.equal(y, x[rows])
    assert torch.equal(x.grad[rows], weight)
    assert not x.grad[[1, 2, 4]].any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_types_keep_their_type(dtype):
    x = torch.randn(4, 6, 2, 8, dtype=dtype)
    assert rms_norm(x, torch.ones(8, dtype=dtype)).dtype == dtype
    assert swiglu(x).dtype == dtype
    assert rotate(x, torch.randn(4, 6, 8)).dtype == dtype
