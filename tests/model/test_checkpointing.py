import pytest
import torch

from chiasm.model import decoder as decoder_module
from chiasm.model.decoder import Decoder, DecoderInput
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


@pytest.fixture(params=KINDS)
def decoder(naive, request) -> Decoder:
    return naive.decoder(noise=0.1, **KINDS[request.param])


def kept_and_gradients(naive, decoder: Decoder) -> tuple[int, list[torch.Tensor]]:
    """Bytes of activations that a forward pass keeps, and the gradients of a sum of its results."""
    batch = naive.random_batch(5)
    inputs = DecoderInput.from_batch(batch, naive.latents(batch), naive.times(batch))
    weights = {each.untyped_storage().data_ptr() for each in decoder.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in weights:
            kept[place] = tensor
        return tensor

    decoder.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        x_BTD = decoder(inputs, IntervalMask.from_batch(batch))
    size = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    x_BTD.square().sum().backward()
    return size, [each.grad for each in decoder.parameters() if each.grad is not None]


def test_gradients_are_equal_and_less_is_kept(naive, decoder):
    found = {}
    for mode in MODES:
        decoder.activation_checkpointing = mode
        found[mode] = kept_and_gradients(naive, decoder)
    for mode in MODES[1:]:
        for gradient, wanted in zip(found[mode][1], found["none"][1], strict=True):
            assert torch.equal(gradient, wanted)
    assert found["full"][0] < 0.5 * found["none"][0]
    assert found["selective"][0] < found["none"][0]
