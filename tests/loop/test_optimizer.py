import pytest
import torch
from torch import nn

from chiasm.batch.streams import Streams, StreamShape
from chiasm.loop.optimizer import build_optimizer, decay_groups
from chiasm.loop.settings import OptimizerSettings
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings


def small_model() -> nn.Module:
    return nn.ModuleDict(
        {"token_embedding": nn.Embedding(5, 4), "linear": nn.Linear(4, 3), "norm": nn.LayerNorm(3)}
    )


def test_only_matrices_decay() -> None:
    model = small_model()
    decayed, kept = decay_groups(model)
    assert [id(p) for p in decayed] == [id(model["linear"].weight)]
    assert len(kept) == 4
    frozen = small_model().requires_grad_(False)
    assert decay_groups(frozen) == ([], [])


def test_decay_moves_matrices_alone_when_gradients_are_zero() -> None:
    model = small_model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = build_optimizer(model, OptimizerSettings(learning_rate=0.1, weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        share = 0.95 if name == "linear.weight" else 1.0
        assert torch.allclose(parameter, share * before[name], atol=1e-6), name


def test_a_part_is_left_to_another_optimizer() -> None:
    model = small_model()
    optimizers = (
        build_optimizer(model, OptimizerSettings(), without=model["linear"]),
        build_optimizer(model["linear"], OptimizerSettings()),
    )
    rest, part = (
        {p for group in optimizer.param_groups for p in group["params"]} for optimizer in optimizers
    )
    assert part == set(model["linear"].parameters())
    assert rest == set(model.parameters()) - part


def test_moments_that_are_made_at_once_change_no_step() -> None:
    """They are what AdamW makes by itself at a parameter's first gradient."""
    one, other = small_model(), small_model()
    other.load_state_dict(one.state_dict())
    ours = build_optimizer(one, OptimizerSettings(learning_rate=0.1, weight_decay=0.0))
    plain = torch.optim.AdamW(
        other.parameters(), lr=0.1, betas=(0.9, 0.95), weight_decay=0.0, fused=True
    )
    for step in range(3):
        for model in (one, other):
            for number, parameter in enumerate(model.parameters()):
                if step or number:  # the first parameter's first gradient comes later
                    parameter.grad = torch.full_like(parameter, 0.1 + step)
        ours.step()
        plain.step()
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("attention_weights", ["shared", "modality"])
def test_gains_keep_their_value_under_zero_gradients(attention_weights: str) -> None:
    """Norm gains of three modalities are [3, width] and no matrices for it."""
    settings = ModelSettings(
        width=32, depth=1, query_heads=2, key_value_heads=1, attention_weights=attention_weights
    )
    streams = Streams(
        (
            StreamShape("image", "vision", (2, 2), channels=4),
            StreamShape("series", "motion", (5,), channels=3),
        )
    )
    decoder = Decoder(settings, vocabulary=20, streams=streams)
    optimizer = build_optimizer(decoder, OptimizerSettings(learning_rate=0.01, weight_decay=0.1))
    for _ in range(20):
        for parameter in decoder.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    gains = {n: p for n, p in decoder.named_parameters() if n.endswith("gain")}
    assert len(gains) >= 3
    for name, gain in gains.items():
        assert (gain == 1).all() or "place" in name, name
