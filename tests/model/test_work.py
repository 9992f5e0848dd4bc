from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.model.windows import Windows
from chiasm.model.work import FORWARD_AND_BACKWARD, Work


def grouped_flops(a_shape, b_shape, *_, out_shape=None, **__) -> int:
    """torch's counter has no entry for grouped products: rows of a, through one matrix each."""
    return 2 * a_shape[0] * a_shape[1] * b_shape[-1]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"experts": "dense"},
        {"time_conditioning": "adaptive"},
        {"head_width": 24},
        {"attention_weights": "modality"},
        {"experts": "moe", "moe": {"num_experts": 12, "shared_experts": "modality"}},
    ],
)
def test_the_count_agrees_with_torch_when_all_pairs_are_counted(naive, changes):
    shape = {"width": 96, "depth": 3, "query_heads": 6, "key_value_heads": 2}
    decoder = naive.decoder(**shape, **changes)
    batch = naive.random_batch(0)
    assert all(0 < own.num_targets < len(own.item_L) for own in batch.slots.values())
    inputs = DecoderInput.from_batch(batch, naive.latents(batch), naive.times(batch))
    # The flash kernel of CPUs is not in torch's table either; the mathematical one is.
    with (
        FlopCounterMode(
            display=False, custom_mapping={torch.ops.aten._grouped_mm: grouped_flops}
        ) as counter,
        sdpa_kernel(SDPBackend.MATH),
    ):
        x_MD = decoder(inputs, IntervalMask.from_batch(batch)).flatten(0, 1)
        text = decoder.text_logits(x_MD[batch.text_position_R])
        loss = text.sum()
        for name, slots in batch.slots.items():
            target_L = slots.target_N[slots.item_L]
            loss = loss + decoder.latent_output(name, x_MD[slots.position_L[target_L]]).sum()
        forward = counter.get_total_flops()
        loss.backward()
    # Kernels execute every pair of a window, allowed or not; padding where nothing is sorted.
    sorts = decoder._sorts(inputs)
    order_M = inputs.by_modality(decoder.shapes)[1] if sorts else None
    positions = len(order_M) if sorts else batch.num_rows * batch.num_positions
    windows = Windows.of(batch.first_BT, batch.last_BT, order_M)
    pairs = sum(first.numel() * first.shape[1] for first, _ in windows.intervals)
    work = replace(Work.useful(batch), positions=positions, pairs=pairs)
    own = decoder.forward_flops(work)
    assert own == pytest.approx(forward, rel=0.01)
    assert FORWARD_AND_BACKWARD * own == pytest.approx(counter.get_total_flops(), rel=0.01)


@pytest.mark.parametrize("adaptive", [False, True])
def test_each_streams_own_layers_are_counted_to_the_last_product(naive, adaptive):
    """What a further item of each stream costs, against torch's counter."""
    time_conditioning = "adaptive" if adaptive else "added"
    decoder = naive.decoder(time_conditioning=time_conditioning)
    for shape in naive.streams:
        for read, rows in ((7, 0), (0, 5), (4, 3)):
            none = dict.fromkeys(naive.streams.names, 0)
            work = Work(0, 0, none | {shape.name: read}, 0, none | {shape.name: rows})
            with FlopCounterMode(display=False) as counter:
                decoder.latent_embedding[shape.name](torch.randn(read, shape.channels))
                time_LD = decoder.time_embedding(torch.rand(read), torch.float32)
                if adaptive:
                    decoder.time_modulation(time_LD)
                decoder.latent_output(shape.name, torch.randn(rows, 32))
            assert decoder.forward_flops(work) == counter.get_total_flops()


def test_a_quarter_of_two_passes_says_where_shortcuts_lead(naive):
    plain, told = naive.decoder(), naive.decoder(shortcut_steps=8)
    work = Work.useful(naive.random_batch(0))
    step_LD = told.step_embedding.flops(sum(work.latents.values()))
    forward, text = plain.forward_flops(work), plain.text_head.flops(work.text_rows)
    assert plain.training_flops(work) == 3 * forward
    assert told.forward_flops(work) == forward + step_LD
    assert told.training_flops(work) == 3 * (forward + step_LD) + (forward - text + step_LD) // 2


def test_useful_work_counts_the_masks_own_pairs_and_no_padding(naive):
    context = naive.Series(3, target=False)
    batch = naive.pack([[[[9, 10], naive.Picture(1, 2), context]]], 32)
    # bod t t boi v v eoi bos s s s eos eod: text sees itself and what precedes it, an item all of
    # itself
    assert Work.useful(batch) == Work(
        positions=13,
        pairs=1 + 2 + 3 + 4 + 6 + 6 + 7 + 8 + 11 + 11 + 11 + 12 + 13,
        latents={"image": 2, "series": 3},
        text_rows=5,
        latent_rows={"image": 2, "series": 0},
    )
    other = naive.pack([[[naive.Series(2)]]], 32)
    assert Work.useful(batch) + Work.useful(other) == Work(
        positions=13 + 6,
        pairs=Work.useful(batch).pairs + 1 + 2 + 4 + 4 + 5 + 6,
        latents={"image": 2, "series": 5},
        text_rows=5 + 2,
        latent_rows={"image": 2, "series": 2},
    )


def test_a_pair_costs_four_head_widths_per_query_head(naive):
    decoder = naive.decoder(width=96, depth=3, query_heads=6, key_value_heads=2)
    none = dict.fromkeys(naive.streams.names, 0)
    work = Work(positions=0, pairs=10, latents=none, text_rows=0, latent_rows=none)
    assert decoder.forward_flops(work) == 3 * 10 * 4 * 96
