import math

import pytest
import torch

from chiasm.batch.streams import TEXT, Streams, StreamShape
from chiasm.model.decoder import Decoder
from chiasm.model.initialize import PLACE
from chiasm.model.settings import ModelSettings

IMAGE = StreamShape("image", "vision", (2, 2), channels=8)
SERIES = StreamShape("series", "motion", (5,), channels=6)
VIDEO = StreamShape("video", "vision", (2, 3, 4), channels=12)


def build(*streams: StreamShape, **changes) -> Decoder:
    settings = {"width": 96, "depth": 2, "query_heads": 6, "key_value_heads": 3} | changes
    seed = settings.pop("seed", 0)
    own = Streams(streams or (IMAGE,))
    return Decoder(ModelSettings(**settings), vocabulary=300, streams=own, seed=seed)


def test_deviations_are_those_of_the_table():
    named = build(IMAGE, SERIES, VIDEO).state_dict()
    for name, expected in {
        "token_embedding": 1.0,
        "place_embedding.image.row": PLACE,
        "place_embedding.image.column": PLACE,
        "place_embedding.series.axis0": PLACE,
        "place_embedding.video.axis2": PLACE,
        "latent_embedding.image.weight": 8**-0.5,
        "latent_embedding.series.weight": 6**-0.5,
        "latent_embedding.video.weight": 12**-0.5,
        "blocks.0.attention.qkv.weight": 96**-0.5,
        "blocks.1.attention.out.weight": 96**-0.5 / 2,
        "blocks.1.experts.gate_up": 96**-0.5,
        "blocks.0.experts.down": 256**-0.5 / 2,
        "text_head.weight": 0.0,
        "latent_head.image.weight": 0.0,
        "latent_head.series.weight": 0.0,
    }.items():
        assert float(named[name].std()) == pytest.approx(expected, rel=0.1), name
    assert (named["final_norm.gain"] == 1).all()


def test_weights_depend_on_seed_and_name_alone():
    torch.manual_seed(1)
    first, deeper, other = build(), build(width=96, experts="dense"), build(seed=1)
    named, named_deeper = dict(first.named_parameters()), dict(deeper.named_parameters())
    for name in ("token_embedding", "blocks.1.attention.qkv.weight"):
        assert torch.equal(named[name], named_deeper[name])
    assert not torch.equal(first.token_embedding, other.token_embedding)
    layers = [named[f"blocks.{n}.attention.qkv.weight"] for n in (0, 1)]
    assert not torch.equal(*layers)


def test_a_further_stream_changes_no_weight_that_was_there():
    """Experts of a modality that is new are drawn with the others: with one for all, all stay."""
    before = build(IMAGE, experts="dense").state_dict()
    for order in ((IMAGE, SERIES, VIDEO), (VIDEO, SERIES, IMAGE)):
        after = build(*order, experts="dense").state_dict()
        for name, values in before.items():
            assert torch.equal(values, after[name]), name
        assert not torch.equal(
            after["place_embedding.video.axis0"], after["place_embedding.video.axis1"]
        )
        assert not torch.equal(
            after["place_embedding.image.row"], after["place_embedding.series.axis0"]
        )


def test_sinusoidal_places_are_as_large_as_learned_ones():
    decoder = build(IMAGE, SERIES, VIDEO, item_positions="sinusoidal")
    for shape in decoder.shapes:
        grids = [torch.arange(size) for size in shape.grid]
        place_LA = torch.stack(torch.meshgrid(*grids, indexing="ij"), -1).reshape(-1, len(grids))
        embedded = decoder.place_embedding[shape.name](place_LA, torch.float32)
        assert embedded.shape == (shape.num_tokens, 96)
        assert len(embedded.unique(dim=0)) == shape.num_tokens
        size = float(embedded.detach().square().mean().sqrt())
        assert size == pytest.approx(math.sqrt(len(grids)) * PLACE, rel=0.01)


def test_the_stream_keeps_its_size_through_depth():
    """Variance of what the blocks add does not grow with their number."""
    for depth in (2, 12):
        decoder = build(depth=depth, width=48)
        decoder.requires_grad_(False)
        x, text = torch.randn(1, 64, 48), torch.full((1, 64), TEXT)
        before = x.std()
        for block in decoder.blocks:
            h = block.experts_norm(x, text)
            gate, up = torch.nn.functional.linear(h, block.experts.gate_up[0]).chunk(2, -1)
            x = x + (torch.nn.functional.silu(gate) * up) @ block.experts.down[0].T
        assert 0.9 < float(x.std() / before) < 1.5, depth
