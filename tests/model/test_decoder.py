from dataclasses import replace

import pytest
import torch

from chiasm.data.batch import Modality
from chiasm.model import Decoder, DecoderInput, IntervalMask, ModelSettings

CHANNELS = 5
VARIANTS = [
    {},
    {"experts": "shared"},
    {"time_conditioning": "adaptive"},
    {"image_positions": "sinusoidal", "qk_norm": False, "head_width": 12},
]


def tiny(naive, **changes) -> Decoder:
    settings = ModelSettings(width=32, depth=2, query_heads=4, key_value_heads=2, **changes)
    decoder = Decoder(settings, vocabulary=naive.vocabulary, latent_channels=CHANNELS, seed=3)
    # Parameters that begin at zero would hide what flows through them.
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return decoder


def read(batch, seed: int = 0) -> DecoderInput:
    generator = torch.Generator().manual_seed(seed)
    z_LC = torch.randn(len(batch.latent_position_L), CHANNELS, generator=generator)
    time_N = torch.rand(len(batch.images), generator=generator)
    return DecoderInput.from_batch(batch, z_LC, time_N)


def two_documents(naive):
    first = [[9, 10], naive.Picture(), [11], naive.Picture(1, 2)]
    second = [[12], naive.Picture(2, 2), [13, 14, 15]]
    return naive.pack([[first, second]], 48)


@pytest.mark.parametrize("changes", VARIANTS)
def test_perturbing_one_document_moves_no_bit_of_another(naive, changes):
    decoder, batch = tiny(naive, **changes), two_documents(naive)
    inputs, mask = read(batch), IntervalMask.from_batch(batch)
    with torch.no_grad():
        before = decoder(inputs, mask)[0]
        for document in (0, 1):
            inside_T = batch.document_BT[0] == document
            latent_L = inside_T[batch.latent_position_L]
            changed = replace(
                inputs,
                ids_BT=torch.where(inside_T & (inputs.ids_BT > 6), 20, inputs.ids_BT),
                z_LC=torch.where(latent_L.unsqueeze(1), inputs.z_LC + 1, inputs.z_LC),
                time_L=torch.where(latent_L, inputs.time_L / 2, inputs.time_L),
            )
            after = decoder(changed, mask)[0]
            assert torch.equal(before[~inside_T], after[~inside_T])
            assert not torch.equal(before[inside_T], after[inside_T])


@pytest.mark.parametrize("changes", VARIANTS)
def test_no_gradient_reaches_another_document_or_the_future(naive, changes):
    decoder, batch = tiny(naive, **changes), two_documents(naive)
    z_LC = torch.randn(len(batch.latent_position_L), CHANNELS, requires_grad=True)
    inputs = replace(read(batch), z_LC=z_LC)
    x_TD = decoder(inputs, IntervalMask.from_batch(batch))[0]
    image_L = batch.images.image_L
    reached = {}
    for name, position in (("text between images", 11), ("second document's end", -1)):
        query = position if position >= 0 else int(batch.document_BT[0].argmin()) - 1
        (gradient,) = torch.autograd.grad(x_TD[query].square().sum(), z_LC, retain_graph=True)
        reached[name] = [bool(gradient[image_L == n].any()) for n in range(3)]
    assert reached == {
        "text between images": [True, False, False],
        "second document's end": [False, False, True],
    }


def test_an_image_is_bidirectional_inside_and_causal_outside(naive):
    decoder, batch = tiny(naive), two_documents(naive)
    inputs, mask = read(batch), IntervalMask.from_batch(batch)
    changed_LC = inputs.z_LC.clone()
    changed_LC[5] += 1  # the last token of the first image
    with torch.no_grad():
        moved_T = (
            decoder(inputs, mask)[0] != decoder(replace(inputs, z_LC=changed_LC), mask)[0]
        ).any(-1)
    start = int(batch.images.start_N[0])
    end_of_document = int((batch.document_BT[0] == 0).sum())
    expected_T = torch.zeros(48, dtype=torch.bool)
    expected_T[start:end_of_document] = True
    assert torch.equal(moved_T, expected_T)


def test_padding_changes_nothing(naive):
    decoder = tiny(naive)
    rows = [[[[9, 10], naive.Picture(), [11, 12]]]]
    short, long = naive.pack(rows, 16), naive.pack([*rows, []], 40)
    with torch.no_grad():
        x_short = decoder(read(short), IntervalMask.from_batch(short))
        x_long = decoder(read(long), IntervalMask.from_batch(long))
    assert torch.isfinite(x_long).all()
    filled = short.num_filled
    torch.testing.assert_close(x_short[0, :filled], x_long[0, :filled], atol=1e-5, rtol=1e-5)


def test_numbers_of_tokens_at_vision_positions_are_not_read(naive):
    decoder, batch = tiny(naive), two_documents(naive)
    inputs, mask = read(batch), IntervalMask.from_batch(batch)
    vision_BT = batch.modality_BT == Modality.VISION
    other = replace(inputs, ids_BT=torch.where(vision_BT, 30, inputs.ids_BT))
    with torch.no_grad():
        assert torch.equal(decoder(inputs, mask), decoder(other, mask))


def test_time_place_and_latent_each_matter(naive):
    decoder, batch = tiny(naive), two_documents(naive)
    inputs, mask = read(batch), IntervalMask.from_batch(batch)
    with torch.no_grad():
        before = decoder(inputs, mask)
        for change in (
            {"time_L": inputs.time_L * 0.9},
            {"yx_L2": inputs.yx_L2.flip(1)},
            {"z_LC": inputs.z_LC * 0.9},
        ):
            assert not torch.equal(before, decoder(replace(inputs, **change), mask)), change


@pytest.mark.parametrize("changes", VARIANTS)
def test_every_parameter_learns(naive, changes):
    decoder, batch = tiny(naive, **changes), naive.random_batch(4)
    x_MD = decoder(read(batch), IntervalMask.from_batch(batch)).flatten(0, 1)
    text = decoder.text_logits(x_MD[batch.text_position_R])
    latent = decoder.latent_output(x_MD[batch.latent_position_L])
    assert text.shape == (batch.num_text_targets, naive.vocabulary)
    assert latent.shape == (len(batch.latent_position_L), CHANNELS)
    (text.square().mean() + latent.square().mean()).backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_a_batch_without_images_and_one_without_text(naive):
    decoder = tiny(naive)
    for documents in ([[[9, 10, 11]]], [[naive.Picture()]]):
        batch = naive.pack([documents], 16)
        assert torch.isfinite(decoder(read(batch), IntervalMask.from_batch(batch))).all()


def test_bfloat16_activations_with_float32_weights(naive):
    batch = naive.random_batch(5, num_positions=160)
    exact = tiny(naive)
    rough = Decoder(
        exact.settings,
        vocabulary=naive.vocabulary,
        latent_channels=CHANNELS,
        compute_dtype=torch.bfloat16,
    )
    rough.load_state_dict(exact.state_dict())
    inputs, mask = read(batch), IntervalMask.from_batch(batch)
    with torch.no_grad():
        x, expected = rough(inputs, mask), exact(inputs, mask)
    assert x.dtype == torch.bfloat16
    assert rough.token_embedding.dtype == torch.float32
    assert float((x.float() - expected).abs().mean()) < 0.03


def test_active_parameters_leave_out_the_other_expert(naive):
    shared = tiny(naive, experts="shared").count_parameters()
    split = tiny(naive, experts="modality").count_parameters()
    assert shared.total == shared.active == split.active
    assert split.total > split.active
