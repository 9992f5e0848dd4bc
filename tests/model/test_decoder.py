import shutil
from dataclasses import replace

import pytest
import torch

from chiasm.batch.streams import PADDING, TEXT, Streams, StreamShape
from chiasm.errors import UserError
from chiasm.model.decoder import Decoder
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.model.settings import ModelSettings

COMPILER = shutil.which("g++") or shutil.which("clang++")

VARIANTS = [
    {},
    {"experts": "dense"},
    {"time_conditioning": "adaptive"},
    {"item_positions": "sinusoidal", "qk_norm": False, "head_width": 12},
    {"attention_weights": "modality"},
    {"experts": "moe", "moe": {"num_experts": 8, "shared_experts": "modality", "dense_blocks": 1}},
]


def tiny(naive, **changes) -> Decoder:
    return naive.decoder(noise=0.1, seed=3, **changes)


def read(naive, batch, seed: int = 0) -> DecoderInput:
    return DecoderInput.from_batch(batch, naive.latents(batch, seed), naive.times(batch, seed))


def changed(inputs: DecoderInput, stream: str, **changes) -> DecoderInput:
    """The same input but for the latents of one stream."""
    own = inputs.latents[stream]._replace(**changes)
    return replace(inputs, latents={**inputs.latents, stream: own})


def two_documents(naive):
    first = [[9, 10], naive.Picture(), [11], naive.Picture(1, 2), naive.Series(3)]
    second = [[12], naive.Picture(2, 2), naive.Series(2), [13, 14, 15]]
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
    inputs, mask = read(naive, batch), IntervalMask.from_batch(batch)
    with torch.no_grad():
        before = decoder(inputs, mask)[0]
        for document in (0, 1):
            inside_T = batch.document_BT[0] == document
            words_BT = inside_T & (inputs.ids_BT > 6)
            other = replace(inputs, ids_BT=torch.where(words_BT, 20, inputs.ids_BT))
            for name, own in inputs.latents.items():
                latent_L = inside_T[own.position_L]
                z_LC = torch.where(latent_L.unsqueeze(1), own.z_LC + 1, own.z_LC)
                time_L = torch.where(latent_L, own.time_L / 2, own.time_L)
                other = changed(other, name, z_LC=z_LC, time_L=time_L)
            after = decoder(other, mask)[0]
            assert same_bits(before[~inside_T], after[~inside_T], changes)
            assert not torch.equal(before[inside_T], after[inside_T])


@pytest.mark.parametrize("changes", VARIANTS)
def test_no_gradient_reaches_another_document_or_the_future(naive, changes):
    decoder, batch = tiny(naive, **changes), two_documents(naive)
    z = {name: z_LC.requires_grad_() for name, z_LC in naive.latents(batch).items()}
    inputs = DecoderInput.from_batch(batch, z, naive.times(batch, 0))
    x_TD = decoder(inputs, IntervalMask.from_batch(batch))[0]
    reached = {}
    for name, query in (
        ("text between images", 11),
        ("first series", int(batch.slots["series"].start_N[0])),
        ("second document's end", int(batch.document_BT[0].argmin()) - 1),
    ):
        loss = x_TD[query].square().sum()
        for stream, z_LC in z.items():
            (gradient,) = torch.autograd.grad(loss, z_LC, retain_graph=True)
            item_L = batch.slots[stream].item_L
            items = range(len(batch.slots[stream]))
            reached[name, stream] = [bool(gradient[item_L == n].any()) for n in items]
    assert reached == {
        ("text between images", "image"): [True, False, False],
        ("text between images", "series"): [False, False],
        ("first series", "image"): [True, True, False],
        ("first series", "series"): [True, False],
        ("second document's end", "image"): [False, False, True],
        ("second document's end", "series"): [False, True],
    }


@pytest.mark.parametrize("stream", ["image", "series"])
def test_an_item_is_bidirectional_inside_and_causal_outside(naive, stream):
    decoder, batch = tiny(naive), two_documents(naive)
    inputs, mask = read(naive, batch), IntervalMask.from_batch(batch)
    changed_LC = inputs.latents[stream].z_LC.clone()
    changed_LC[int(batch.slots[stream].tokens_N[0]) - 1] += 1  # the last token of the first item
    with torch.no_grad():
        after = decoder(changed(inputs, stream, z_LC=changed_LC), mask)[0]
        moved_T = (decoder(inputs, mask)[0] != after).any(-1)
    start = int(batch.slots[stream].start_N[0])
    end_of_document = int((batch.document_BT[0] == 0).sum())
    expected_T = torch.zeros(48, dtype=torch.bool)
    expected_T[start:end_of_document] = True
    assert torch.equal(moved_T, expected_T)


def test_padding_changes_nothing(naive):
    decoder = tiny(naive)
    rows = [[[[9, 10], naive.Picture(), naive.Series(2), [11, 12]]]]
    short, long = naive.pack(rows, 20), naive.pack([*rows, []], 40)
    with torch.no_grad():
        x_short = decoder(read(naive, short), IntervalMask.from_batch(short))
        x_long = decoder(read(naive, long), IntervalMask.from_batch(long))
    assert torch.isfinite(x_long).all()
    filled = short.num_filled
    torch.testing.assert_close(x_short[0, :filled], x_long[0, :filled], atol=1e-5, rtol=1e-5)


def test_numbers_of_tokens_at_latent_positions_are_not_read(naive):
    decoder, batch = tiny(naive), two_documents(naive)
    inputs, mask = read(naive, batch), IntervalMask.from_batch(batch)
    latent_BT = batch.modality_BT > TEXT
    other = replace(inputs, ids_BT=torch.where(latent_BT, 30, inputs.ids_BT))
    with torch.no_grad():
        assert torch.equal(decoder(inputs, mask), decoder(other, mask))


def test_learned_places_reach_over_the_grid():
    wide = Streams((StreamShape("image", "vision", (65, 2), 4),))
    decoder = Decoder(ModelSettings(width=24, depth=1), vocabulary=9, streams=wide)
    tables = decoder.place_embedding["image"].named_parameters()
    assert {name: len(table) for name, table in tables} == {"row": 65, "column": 65}


@pytest.mark.parametrize("item_positions", ["learned", "sinusoidal"])
@pytest.mark.parametrize("stream", ["image", "series"])
def test_time_place_and_latent_each_matter(naive, stream, item_positions):
    decoder, batch = tiny(naive, item_positions=item_positions), two_documents(naive)
    inputs, mask = read(naive, batch), IntervalMask.from_batch(batch)
    with torch.no_grad():
        before, own = decoder(inputs, mask), inputs.latents[stream]
        places = [own.place_LA + axis for axis in torch.eye(own.place_LA.shape[1]).long()]
        if len(places) == 2:
            places.append(own.place_LA.flip(1))
        for change in (
            {"time_L": own.time_L * 0.9},
            {"z_LC": own.z_LC * 0.9},
            *({"place_LA": place_LA} for place_LA in places),
        ):
            assert not torch.equal(before, decoder(changed(inputs, stream, **change), mask)), change


def test_streams_may_stand_in_any_order_and_be_left_out(naive):
    decoder, batch = tiny(naive), two_documents(naive)
    inputs, mask = read(naive, batch), IntervalMask.from_batch(batch)
    rotated = replace(inputs, latents=dict(reversed(inputs.latents.items())))
    with torch.no_grad():
        assert torch.equal(decoder(inputs, mask), decoder(rotated, mask))
        alone = naive.pack([[[[9, 10], naive.Picture(), [11]]]], 16)
        inputs, mask = read(naive, alone), IntervalMask.from_batch(alone)
        own = replace(inputs, latents={"image": inputs.latents["image"]})
        assert torch.equal(decoder(inputs, mask), decoder(own, mask))


def split_by_role(naive, batch):
    """Context pictures as a stream of their own, of the same modality."""
    shapes = dict(zip(naive.streams.names, naive.streams, strict=True))
    seen = replace(shapes["image"], name="seen", context_of="image")
    streams = Streams((shapes["image"], shapes["series"], seen))

    def chosen(own_N):
        own = batch.slots["image"]
        names = ("row_N", "start_N", "grid_NA", "target_N", "dropped_N", "source_N")
        kept = [item for item, kept in zip(own.items, own_N.tolist(), strict=True) if kept]
        return replace(own, **{n: getattr(own, n)[own_N] for n in names}, items=tuple(kept))

    target_N = batch.slots["image"].target_N
    slots = {**batch.slots, "image": chosen(target_N), "seen": chosen(~target_N)}
    return replace(batch, streams=streams, slots=slots)


@pytest.mark.parametrize("changes", VARIANTS)
def test_two_streams_of_one_modality_with_equal_layers_are_one(naive, changes):
    decoder, batch = tiny(naive, **changes), naive.random_batch(6)
    split = split_by_role(naive, batch)
    split.validate()
    other = Decoder(decoder.settings, vocabulary=naive.vocabulary, streams=split.streams)
    own = decoder.state_dict()
    other.load_state_dict({n: own[n.replace(".seen.", ".image.")] for n in other.state_dict()})
    z, times, target_N = naive.latents(batch), naive.times(batch, 0), batch.slots["image"].target_N
    target_L = target_N[batch.slots["image"].item_L]
    parted = [
        {**whole, "image": whole["image"][chosen], "seen": whole["image"][~chosen]}
        for whole, chosen in ((z, target_L), (times, target_N))
    ]
    with torch.no_grad():
        mask = IntervalMask.from_batch(batch)
        expected = decoder(DecoderInput.from_batch(batch, z, times), mask)
        got = other(DecoderInput.from_batch(split, *parted), mask)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("changes", VARIANTS)
def test_every_parameter_learns(naive, changes):
    decoder, batch = tiny(naive, **changes), naive.random_batch(4)
    x_MD = decoder(read(naive, batch), IntervalMask.from_batch(batch)).flatten(0, 1)
    text = decoder.text_logits(x_MD[batch.text_position_R])
    assert text.shape == (batch.num_text_targets, naive.vocabulary)
    loss = text.square().mean()
    for shape in naive.streams:
        position_L = batch.slots[shape.name].position_L
        latent = decoder.latent_output(shape.name, x_MD[position_L])
        assert latent.shape == (len(position_L), shape.channels)
        loss = loss + latent.square().mean()
    loss.backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("changes", VARIANTS)
def test_a_batch_without_items_and_ones_of_one_modality(naive, changes):
    decoder = tiny(naive, **changes)
    for documents in ([[[9, 10, 11]]], [[naive.Picture()]], [[naive.Series()]], []):
        batch = naive.pack([documents], 16)
        assert torch.isfinite(decoder(read(naive, batch), IntervalMask.from_batch(batch))).all()


def test_a_stream_learns_only_what_its_items_pass(naive):
    """Without series, nothing of them has a gradient, and what pictures pass has one."""
    decoder = tiny(naive, attention_weights="modality")
    batch = naive.pack([[[[9, 10, 11], naive.Picture(), [12]]]], 20)
    decoder(read(naive, batch), IntervalMask.from_batch(batch)).square().sum().backward()
    block = decoder.blocks[0]
    split = (block.experts.gate_up, block.attention.qkv.weight, block.attention_norm.gain)
    for parameter in split:
        assert [bool(own.any()) for own in parameter.grad] == [True, True, False]
    assert decoder.latent_embedding["image"].weight.grad.any()
    grad = decoder.latent_embedding["series"].weight.grad
    assert grad is None or not grad.any()


def test_more_modalities_than_shared_experts_are_refused():
    streams = Streams(tuple(StreamShape(f"s{n}", f"m{n}", (2,), 3) for n in range(4)))
    moe = {"num_experts": 7, "granularity": 4, "shared_experts": "modality"}
    settings = ModelSettings(width=48, feedforward_width=128, experts="moe", moe=moe)
    with pytest.raises(UserError, match=r"num_experts = 7 .* leaves 2 to choose from"):
        Decoder(settings, vocabulary=20, streams=streams)


def test_bfloat16_activations_with_float32_weights(naive):
    batch = naive.random_batch(5, num_positions=160)
    exact = tiny(naive)
    rough = Decoder(
        exact.settings,
        vocabulary=naive.vocabulary,
        streams=naive.streams,
        compute_dtype=torch.bfloat16,
    )
    rough.load_state_dict(exact.state_dict())
    inputs, mask = read(naive, batch), IntervalMask.from_batch(batch)
    with torch.no_grad():
        x, expected = rough(inputs, mask), exact(inputs, mask)
    assert x.dtype == torch.bfloat16
    assert rough.token_embedding.dtype == torch.float32
    assert float((x.float() - expected).abs().mean()) < 0.03


def test_active_parameters_leave_out_the_other_experts(naive):
    shared = tiny(naive, experts="dense").count_parameters()
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
    shared = tiny(naive, experts="dense", time_conditioning=time_conditioning)
    moe = {"num_experts": 1, "granularity": 1, "weights": "raw"}
    mixture = tiny(naive, experts="moe", moe=moe, time_conditioning=time_conditioning)
    routers = {name: value for name, value in mixture.state_dict().items() if "router" in name}
    mixture = copied(shared, mixture, **routers)
    batch = naive.random_batch(1)
    inputs, mask = read(naive, batch), IntervalMask.from_batch(batch)
    torch.testing.assert_close(mixture(inputs, mask), shared(inputs, mask))
    assert mixture.count_parameters().active - shared.count_parameters().active == 2 * 32


def test_a_mixture_whose_router_reads_the_modality_is_the_split(naive):
    """One shared expert for each modality, and routed ones that give nothing."""
    split = tiny(naive, experts="modality", feedforward_width=64)
    moe = {
        "num_experts": 6,
        "granularity": 2,
        "shared_experts": "modality",
        "weights": "raw",
        "top_k": 1,
    }
    mixture = tiny(naive, experts="moe", moe=moe, feedforward_width=128)
    taken = {}
    for number in range(2):
        name = f"blocks.{number}.experts."
        own = split.state_dict()
        for part in ("gate_up", "down"):
            values = own[name + part]
            taken[f"{name}shared.{part}"] = values
            taken[name + part] = torch.zeros_like(values)
        for part in ("router.weight", "router.expert_bias_R"):
            taken[name + part] = mixture.state_dict()[name + part]
    mixture = copied(split, mixture, **taken)
    batch = naive.random_batch(2)
    inputs, mask = read(naive, batch), IntervalMask.from_batch(batch)
    filled_BT = batch.modality_BT != PADDING
    both = (decoder(inputs, mask)[filled_BT] for decoder in (mixture, split))
    torch.testing.assert_close(*both)


def test_separate_attention_with_equal_weights_is_shared_attention(naive):
    shared = tiny(naive)
    separate = tiny(naive, attention_weights="modality")
    own, taken = shared.state_dict(), {}
    for name, value in separate.state_dict().items():
        if value.ndim > own[name].ndim:
            taken[name] = own[name].expand_as(value)
    batch = naive.random_batch(3)
    inputs, mask = read(naive, batch), IntervalMask.from_batch(batch)
    expected = shared(inputs, mask)
    torch.testing.assert_close(copied(shared, separate, **taken)(inputs, mask), expected)
    assert len(taken) == 2 * 4 + 1
    idle = separate.count_parameters().total - separate.count_parameters().active
    own = sum(v.numel() // 3 * 2 for v in taken.values())
    assert idle - own == 2 * 2 * 3 * 32 * shared.settings.F


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
        ({"experts": "dense"}, 1.498),
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
        streams = Streams((StreamShape("image", "vision", (16, 16), channels=1152),))
        settings = ModelSettings(**PAPER_SHAPE, **changes)
        decoder = Decoder(settings, vocabulary=128_256, streams=streams)
    outside = sum(
        parameter.numel()
        for name, parameter in decoder.named_parameters()
        if name.startswith(("latent", "time", "place")) or "router" in name
    )
    count = decoder.count_parameters()
    assert (count.total - outside) / 1e9 == pytest.approx(billions, rel=0.01)
    assert (count.active - outside) / 1e9 == pytest.approx(1.498, rel=0.01)


def hidden_and_gradients(naive, decoder) -> list[torch.Tensor]:
    batch = naive.random_batch(5, num_rows=4)
    inputs = DecoderInput.from_batch(batch, naive.latents(batch), naive.times(batch))
    x_MD = decoder(inputs, IntervalMask.from_batch(batch)).flatten(0, 1)
    x_MD = x_MD[(batch.modality_BT != 0).flatten()]
    x_MD.square().sum().backward()
    return [x_MD.detach(), *(p.grad for p in decoder.parameters() if p.grad is not None)]


@pytest.mark.filterwarnings("ignore")  # of what tracing imports and reads
@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
@pytest.mark.slow
def test_compiled_blocks_on_a_cpu_give_the_same(naive):
    settings = {"noise": 0.1, "depth": 1, "attention_weights": "modality"}
    expected = hidden_and_gradients(naive, naive.decoder(**settings))
    decoder = naive.decoder(**settings)
    decoder.blocks[0].compile()
    for found, wanted in zip(hidden_and_gradients(naive, decoder), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * wanted.abs().max().item())


def test_an_infinitely_short_step_is_none(naive):
    """Bit for bit, whatever was learned; so is one of the size at which they end."""
    plain, told = tiny(naive), tiny(naive, shortcut_steps=8)
    told.load_state_dict(plain.state_dict(), strict=False)
    batch = two_documents(naive)
    inputs, mask = read(naive, batch), IntervalMask.from_batch(batch)

    def with_steps(size: float):
        latents = {
            name: own._replace(step_L=torch.full_like(own.time_L, size))
            for name, own in inputs.latents.items()
        }
        return replace(inputs, latents=latents)

    with torch.no_grad():
        before = plain(inputs, mask)
        for given in (inputs, with_steps(0.0), with_steps(1 / 8), with_steps(1 / 25)):
            assert torch.equal(told(given, mask), before)
        found = [told(with_steps(size), mask) for size in (1 / 4, 1 / 3, 1 / 2, 1.0)]
        assert torch.equal(plain(with_steps(1.0), mask), before), "who is told nothing asks nothing"
    for one, other in zip([before, *found], found, strict=False):
        assert not torch.allclose(one, other, atol=1e-3)


def test_at_first_all_steps_are_alike(naive):
    decoder = naive.decoder(shortcut_steps=4)
    step_LD = decoder.step_embedding(torch.tensor([0.0, 0.3, 1.0]), torch.float32)
    assert not step_LD.any()
    assert decoder.step_embedding.hidden.weight.any()
