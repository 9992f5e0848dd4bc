import pytest
import torch
from chiasm.batch.latents import ImageLatents
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from chiasm.model import Decoder, DecoderInput, IntervalMask, ModelSettings, Work
from chiasm.model.work import FORWARD_AND_BACKWARD

CHANNELS = 8


def grouped_flops(a_shape, b_shape, *_, out_shape=None, **__) -> int:
    """torch's counter has no entry for grouped products: rows of a, through one matrix each."""
    return 2 * a_shape[0] * a_shape[1] * b_shape[-1]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"experts": "shared"},
        {"time_conditioning": "adaptive"},
        {"head_width": 24},
        {"attention_weights": "modality"},
        {"experts": "moe", "moe": {"num_experts": 12, "shared": "modality"}},
        {"context_channels": 24},
    ],
)
def test_the_count_agrees_with_torch_when_all_pairs_are_counted(naive, changes):
    own = changes.get("context_channels")
    shape = {name: value for name, value in changes.items() if name != "context_channels"}
    settings = ModelSettings(width=96, depth=3, query_heads=6, key_value_heads=2, **shape)
    decoder = Decoder(
        settings, vocabulary=naive.vocabulary, latent_channels=CHANNELS, context_channels=own
    )
    batch = naive.random_batch(0)
    z_LC = torch.randn(len(batch.latent_position_L), CHANNELS)
    context_UA = torch.randn(len(batch.images.context_U), own) if own else None
    inputs = DecoderInput.from_batch(
        batch, ImageLatents(z_LC, context_UA), torch.ones(len(batch.images))
    )
    target_L = batch.images.target_N[batch.images.image_L]
    # The flash kernel of CPUs is not in torch's table either; the mathematical one is.
    with (
        FlopCounterMode(
            display=False, custom_mapping={torch.ops.aten._grouped_mm: grouped_flops}
        ) as counter,
        sdpa_kernel(SDPBackend.MATH),
    ):
        x_MD = decoder(inputs, IntervalMask.from_batch(batch)).flatten(0, 1)
        text = decoder.text_logits(x_MD[batch.text_position_R])
        latent = decoder.latent_output(x_MD[batch.latent_position_L[target_L]])
        forward = counter.get_total_flops()
        (text.sum() + latent.sum()).backward()
    own = decoder.forward_flops(Work.dense(batch))
    assert own == pytest.approx(forward, rel=0.01)
    assert FORWARD_AND_BACKWARD * own == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_useful_work_counts_the_masks_own_pairs_and_no_padding(naive):
    batch = naive.pack([[[[9, 10], naive.Picture(1, 2)]]], 32)
    # bod t t boi v v eoi eod: text sees itself and what precedes it, vision its whole image
    assert Work.useful(batch) == Work(
        positions=8,
        pairs=1 + 2 + 3 + 4 + 6 + 6 + 7 + 8,
        latents=2,
        context_latents=0,
        text_rows=4,
        latent_rows=2,
    )
    assert Work.dense(batch).positions == 32
    assert Work.dense(batch).pairs == 32 * 32


def test_a_pair_costs_four_head_widths_per_query_head(naive):
    settings = ModelSettings(width=96, depth=3, query_heads=6, key_value_heads=2)
    decoder = Decoder(settings, vocabulary=naive.vocabulary, latent_channels=CHANNELS)
    work = Work(positions=0, pairs=10, latents=0, context_latents=0, text_rows=0, latent_rows=0)
    assert decoder.forward_flops(work) == 3 * 10 * 4 * 96
