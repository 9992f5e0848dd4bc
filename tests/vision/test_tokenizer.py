import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from chiasm.errors import UserError
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.pixels import Pixels, pixel_tokenizer
from chiasm.vision.tokenizer import as_floats

CPU = torch.device("cpu")


class AnySize(Pixels):
    """Four patches of pictures of any size, and a record of what was encoded together."""

    def __init__(self) -> None:
        super().__init__(16, 8)
        self.groups: list[int] = []

    def encode(self, items_B: torch.Tensor) -> torch.Tensor:
        self.groups.append(len(items_B))
        return self.features(functional.adaptive_avg_pool2d(as_floats(items_B), 16))


def picture(side: int, value: int) -> torch.Tensor:
    return torch.full((3, side, side), value, dtype=torch.uint8)


def test_items_are_grouped_by_size_and_keep_their_order() -> None:
    patches = AnySize()
    given = [picture(16, 0), picture(32, 51), picture(16, 102), picture(32, 255)]
    latents = Tokenizer("any", patches).encode_items(given, CPU)
    assert patches.groups == [2, 2]
    expected = torch.tensor([0.0, 0.2, 0.4, 1.0]).repeat_interleave(4)
    torch.testing.assert_close(latents.mean(dim=1), expected)


class Readings(TorchDispatchMode):
    """Counts numbers that are read back from the device: each waits for all work before it."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **kwargs or {})


def test_bytes_are_encoded_without_reading_a_number_back() -> None:
    """So a training step is not held up; floats have a range that must be looked at."""
    tokenizer = pixel_tokenizer(16, 8)
    given = [picture(16, value) for value in (0, 51, 255)]
    with Readings() as readings:
        tokenizer.encode_items(given, CPU)
        tokenizer.encode(torch.stack(given))
    assert readings.count == 0
    with Readings() as readings:
        tokenizer.encode(torch.stack(given) / 255)
    assert readings.count > 0


def test_no_items_give_no_latents() -> None:
    assert pixel_tokenizer(16, 8).encode_items([], CPU).shape == (0, 3 * 64)


def test_pictures_of_another_size_are_refused() -> None:
    with pytest.raises(UserError, match=r"\(3, 16, 16\), not \(3, 24, 24\)"):
        pixel_tokenizer(16, 8).encode(torch.zeros(1, 3, 24, 24))


@pytest.mark.parametrize("channels", [1, 4])
def test_other_numbers_of_colours_are_refused(channels: int) -> None:
    with pytest.raises(UserError, match=rf"\(3, 16, 16\), not \({channels}, 16, 16\)"):
        pixel_tokenizer(16, 8).encode(torch.zeros(1, channels, 16, 16))


@pytest.mark.parametrize("value", [-1.0, 2.0, 255.0, float("nan")])
def test_values_outside_the_range_are_refused(value: float) -> None:
    images = torch.full((1, 3, 16, 16), 0.5)
    images[0, 1, 2, 3] = value
    with pytest.raises(UserError, match=r"uint8, or floats in \[0, 1\]"):
        pixel_tokenizer(16, 8).encode(images)


def test_bytes_are_scaled() -> None:
    images = torch.randint(256, (2, 3, 16, 16), dtype=torch.uint8)
    tokenizer = pixel_tokenizer(16, 8)
    assert torch.equal(tokenizer.encode(images), tokenizer.encode(images.float() / 255))


def test_fingerprint_follows_the_statistics() -> None:
    tokenizer = pixel_tokenizer(16, 8)
    before = tokenizer.fingerprint
    assert pixel_tokenizer(16, 8).fingerprint == before
    generator = torch.Generator().manual_seed(1)
    tokenizer.measure([torch.rand(8, 3, 16, 16, generator=generator)], data="noise")
    assert tokenizer.fingerprint != before
