from dataclasses import replace

import pytest
import torch
from chiasm.batch.latents import ImageLatents

from chiasm.batch.streams import Modality
from chiasm.model import Decoder, DecoderInput, IntervalMask, ModelSettings

CHANNELS = 5
VARIANTS = [
    {},
    {"experts": "shared"},
    {"time_conditioning": "adaptive"},
    {"image_positions": "sinusoidal", "qk_norm": False, "head_width": 12},
    {"attention_weights": "modality"},
    {"experts": "moe", "moe": {"num_experts": 8, "shared": "modality", "dense_blocks": 1}},
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
    return DecoderInput.from_batch(batch, ImageLatents(z_LC), time_N)


def two_documents(naive):
    first = [[9, 10], naive.Picture(), [11], naive.Picture(1, 2)]
    second = [[12], naive.Picture(2, 2), [13, 14, 15]]
    return naive.pack([[first, second]], 48)


def same_bits(before, after, changes) -> bool:
    """A router may give an expert other rows of the changed document, and a product over more rows
    may round otherwise; everything else is exact."""
    if changes.get("experts") == "moe":
        return torch.allclose(before, after, atol=1e-5)
    return torch.equal(before, after)


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
            assert same_bits(before[~inside_T], after[~inside_T], changes)
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


def copied(decoder, other, **taken):
    """``other`` with every parameter of ``decoder`` that has its name and shape, and ``taken``."""
    own = decoder.state_dict() | taken
    other.load_state_dict({name: own[name] for name in other.state_dict()})
    return other


@pytest.mark.parametrize("time_conditioning", ["added", "adaptive"])
def test_a_mixture_of_one_expert_is_the_shared_expert(naive, time_conditioning):
    shared = tiny(naive, experts="shared", time_conditioning=time_conditioning)
    moe = {"num_experts": 1, "granularity": 1, "weights": "raw"}
    mixture = tiny(naive, experts="moe", moe=moe, time_conditioning=time_conditioning)
    routers = {name: value for name, value in mixture.state_dict().items() if "router" in name}
    mixture = copied(shared, mixture, **routers)
    batch = naive.random_batch(1)
    inputs, mask = read(batch), IntervalMask.from_batch(batch)
    torch.testing.assert_close(mixture(inputs, mask), shared(inputs, mask))
    assert mixture.count_parameters().active - shared.count_parameters().active == 2 * 32


def test_a_mixture_whose_router_reads_the_modality_is_the_split(naive):
    """One shared expert for each modality, and routed ones that give nothing."""
    split = tiny(naive, experts="modality", feedforward_width=64)
    moe = {"num_experts": 4, "granularity": 2, "shared": "modality", "weights": "raw", "top_k": 1}
    mixture = tiny(naive, experts="moe", moe=moe, feedforward_width=128)
    taken = {}
    for number in range(2):
        name = f"blocks.{number}.experts."
        own = split.state_dict()
        for part in ("gate_up", "down"):
            values = own[name + part]
            taken[name + part] = torch.cat((torch.zeros_like(values), values))
        for part in ("router.weight", "router.balance_R"):
            taken[name + part] = mixture.state_dict()[name + part]
    mixture = copied(split, mixture, **taken)
    batch = naive.random_batch(2)
    inputs, mask = read(batch), IntervalMask.from_batch(batch)
    torch.testing.assert_close(mixture(inputs, mask), split(inputs, mask))


def test_separate_attention_with_equal_weights_is_shared_attention(naive):
    shared = tiny(naive)
    separate = tiny(naive, attention_weights="modality")
    own, taken = shared.state_dict(), {}
    for name, value in separate.state_dict().items():
        if value.ndim > own[name].ndim:
            taken[name] = own[name].expand_as(value)
    batch = naive.random_batch(3)
    inputs, mask = read(batch), IntervalMask.from_batch(batch)
    expected = shared(inputs, mask)
    torch.testing.assert_close(copied(shared, separate, **taken)(inputs, mask), expected)
    assert len(taken) == 2 * 4 + 1
    idle = separate.count_parameters().total - separate.count_parameters().active
    assert idle - sum(v.numel() // 2 for v in taken.values()) == 2 * 3 * 32 * shared.settings.F


PAPER_SHAPE = {
    "width": 2048,
    "depth": 16,
    "query_heads": 32,
    "key_value_heads": 8,
    "feedforward_width": 8192,
    "qk_norm": False,
}


@pytest.mark.parametrize(
    ("changes", "billions"),
    [
        ({"experts": "shared"}, 1.498),
        ({"experts": "modality"}, 2.304),
        ({"experts": "modality", "attention_weights": "modality"}, 2.47),
        ({"experts": "moe", "moe": {"num_experts": 32, "granularity": 16}}, 2.30),
        ({"experts": "moe", "moe": {"num_experts": 256, "granularity": 16}}, 13.59),
        ({"experts": "moe", "moe": {"num_experts": 1008, "granularity": 16}}, 51.46),
        ({"experts": "moe", "moe": {"num_experts": 1024, "granularity": 64}}, 13.6),
    ],
)
def test_the_papers_shapes_have_the_papers_parameters(changes, billions):
    """Figures of arXiv 2603.03276, without routers and what embeds latents."""
    with torch.device("meta"):
        decoder = Decoder(
            ModelSettings(**PAPER_SHAPE, **changes), vocabulary=128_256, latent_channels=1152
        )
    outside = sum(
        parameter.numel()
        for name, parameter in decoder.named_parameters()
        if name.startswith(("latent", "time", "place")) or "router" in name
    )
    count = decoder.count_parameters()
    assert (count.total - outside) / 1e9 == pytest.approx(billions, rel=0.01)
    assert (count.active - outside) / 1e9 == pytest.approx(1.498, rel=0.01)
