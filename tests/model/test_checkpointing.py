import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from chiasm.model.decoder import Decoder
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.model.settings import ModelSettings, MoeSettings

MODES = ("none", "selective", "full")
KINDS = {
    "modality": {},
    "separate": {"attention_weights": "modality", "time_conditioning": "adaptive"},
    "moe": {
        "experts": "moe",
        "feedforward_width": 64,
        "moe": MoeSettings(num_experts=6, granularity=4),
    },
}


class Peak(TorchDispatchMode):
    """Most bytes that results of operations take at once; in the backward pass as well."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[StorageWeakRef, int] = {}
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        read = storages((args, kwargs))  # a view of a weight is nothing new
        self.live |= {own: size for own, size in storages(found).items() if own not in read}
        self.live = {own: size for own, size in self.live.items() if not own.expired()}
        self.bytes = max(self.bytes, sum(self.live.values()))
        return found


def storages(tree) -> dict[StorageWeakRef, int]:
    """The bytes of each storage that a tensor in a nest of containers lies in."""
    tensors = [each for each in tree_leaves(tree) if isinstance(each, torch.Tensor)]
    each = [tensor.untyped_storage() for tensor in tensors]
    return {StorageWeakRef(storage): storage.nbytes() for storage in each}


def peak_and_gradients(naive, decoder: Decoder) -> tuple[int, list[torch.Tensor]]:
    batch = naive.random_batch(5, num_rows=8)
    inputs = DecoderInput.from_batch(batch, naive.latents(batch), naive.times(batch))
    decoder.zero_grad()
    with Peak() as peak:
        decoder(inputs, IntervalMask.from_batch(batch)).square().sum().backward()
    return peak.bytes, [each.grad for each in decoder.parameters() if each.grad is not None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_equal_and_the_peak_is_lower(naive, kind, dtype):
    decoder, found = naive.decoder(noise=0.1, depth=6, **KINDS[kind]), {}
    decoder.compute_dtype = dtype
    for mode in MODES:
        decoder.activation_checkpointing = mode
        found[mode] = peak_and_gradients(naive, decoder)
    for mode in MODES[1:]:
        for gradient, wanted in zip(found[mode][1], found["none"][1], strict=True):
            assert torch.equal(gradient, wanted)
    # Products inside a half of a block that is one function are computed again in both.
    assert found["full"][0] < 0.9 * found["selective"][0]
    assert found["selective"][0] < 0.8 * found["none"][0]


def test_auto_is_full_where_a_large_vocabulary_makes_it_cheap(naive, monkeypatch):
    shape = ModelSettings(width=32, depth=6, query_heads=4, key_value_heads=2)
    large = Decoder(shape, vocabulary=9000, streams=naive.streams)
    small = naive.decoder(depth=6)

    def peaks(mode: str) -> list[int]:
        large.activation_checkpointing = small.activation_checkpointing = mode
        return [peak_and_gradients(naive, each)[0] for each in (large, small)]

    none, full = peaks("none"), peaks("full")
    assert full[0] < none[0]
    assert peaks("auto") == none
    monkeypatch.setattr("chiasm.model.checkpointing.LARGE_LOGITS_BYTES", 1)
    assert peaks("auto") == [full[0], none[1]]
