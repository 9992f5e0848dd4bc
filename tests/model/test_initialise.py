import pytest
import torch

from chiasm.model import Decoder, ModelSettings
from chiasm.model.initialise import PLACE


def build(**changes) -> Decoder:
    settings = {"width": 96, "depth": 2, "query_heads": 6, "key_value_heads": 3} | changes
    seed = settings.pop("seed", 0)
    return Decoder(ModelSettings(**settings), vocabulary=300, latent_channels=8, seed=seed)


def test_deviations_are_those_of_the_table():
    named = build().state_dict()
    for name, expected in {
        "token_embedding": 1.0,
        "place_embedding.row": PLACE,
        "latent_embedding.weight": 8**-0.5,
        "blocks.0.attention.qkv.weight": 96**-0.5,
        "blocks.1.attention.out.weight": 96**-0.5 / 2,
        "blocks.1.experts.gate_up": 96**-0.5,
        "blocks.0.experts.down": 256**-0.5 / 2,
        "text_head.weight": 0.0,
        "latent_head.weight": 0.0,
    }.items():
        assert float(named[name].std()) == pytest.approx(expected, rel=0.1), name
    assert (named["final_norm.gain"] == 1).all()


def test_weights_depend_on_seed_and_name_alone():
    torch.manual_seed(1)
    first, deeper, other = build(), build(width=96, experts="shared"), build(seed=1)
    named, named_deeper = dict(first.named_parameters()), dict(deeper.named_parameters())
    for name in ("token_embedding", "blocks.1.attention.qkv.weight"):
        assert torch.equal(named[name], named_deeper[name])
    assert not torch.equal(first.token_embedding, other.token_embedding)
    layers = [named[f"blocks.{n}.attention.qkv.weight"] for n in (0, 1)]
    assert not torch.equal(*layers)


def test_the_stream_keeps_its_size_through_depth():
    """Variance of what the blocks add does not grow with their number."""
    for depth in (2, 12):
        decoder = build(depth=depth, width=48)
        decoder.requires_grad_(False)
        x = torch.randn(1, 64, 48)
        before = x.std()
        for block in decoder.blocks:
            h = block.experts_norm(x)
            gate, up = torch.nn.functional.linear(h, block.experts.gate_up[0]).chunk(2, -1)
            x = x + (torch.nn.functional.silu(gate) * up) @ block.experts.down[0].T
        assert 0.9 < float(x.std() / before) < 1.5, depth
