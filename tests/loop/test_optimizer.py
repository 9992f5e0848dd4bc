import pytest
import torch
from torch import nn

from chiasm.batch.streams import Streams, StreamShape
from chiasm.errors import UserError
from chiasm.loop.groups import build_optimizer, parameter_groups
from chiasm.loop.optimizer import AdamWSettings, OptimizerSettings
from chiasm.loop.settings import LoopSettings
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings


def small_model() -> nn.Module:
    return nn.ModuleDict(
        {"token_embedding": nn.Embedding(5, 4), "linear": nn.Linear(4, 3), "norm": nn.LayerNorm(3)}
    )


def adamw(model: nn.Module, **settings: float) -> torch.optim.Optimizer:
    asked = AdamWSettings(**settings)
    return asked.build(parameter_groups(model, asked.weight_decay), steps_taken=0)


def test_only_matrices_decay() -> None:
    model = small_model()
    matrices, rest = parameter_groups(model, 0.5)
    assert [id(p) for p in matrices["params"]] == [id(model["linear"].weight)]
    assert len(rest["params"]) == 4
    assert [(g["weight_decay"], g["matrices"]) for g in (matrices, rest)] == [
        (0.5, True),
        (0.0, False),
    ]
    frozen = small_model().requires_grad_(False)
    assert parameter_groups(frozen, 0.5) == []


def test_decay_moves_matrices_alone_when_gradients_are_zero() -> None:
    model = small_model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = adamw(model, learning_rate=0.1, weight_decay=0.5)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        share = 0.95 if name == "linear.weight" else 1.0
        assert torch.allclose(parameter, share * before[name], atol=1e-6), name


def test_a_part_is_left_to_another_optimizer() -> None:
    model = small_model()
    rest, part = (
        {p for group in groups for p in group["params"]}
        for groups in (
            parameter_groups(model, 0.1, without=model["linear"]),
            parameter_groups(model["linear"], 0.1),
        )
    )
    assert part == set(model["linear"].parameters())
    assert rest == set(model.parameters()) - part


def test_moments_that_are_made_at_once_change_no_step() -> None:
    """They are what AdamW makes by itself at a parameter's first gradient."""
    one, other = small_model(), small_model()
    other.load_state_dict(one.state_dict())
    ours = adamw(one, learning_rate=0.1, weight_decay=0.0)
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
    optimizer = adamw(decoder, learning_rate=0.01, weight_decay=0.1)
    for _ in range(20):
        for parameter in decoder.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    gains = {n: p for n, p in decoder.named_parameters() if n.endswith("gain")}
    assert len(gains) >= 3
    for name, gain in gains.items():
        assert (gain == 1).all() or "place" in name, name


class Failing(OptimizerSettings):
    kind: str = "failing"

    def build(self, groups):
        return [group["parms"] for group in groups]


class Empty(OptimizerSettings):
    kind: str = "empty"

    def build(self, groups):
        return None


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Failing(), r"optimizer.kind = 'failing' fails in Failing.build\(\): KeyError: 'parms'"),
        (Empty(), r"optimizer.kind = 'empty' gives a NoneType in Empty.build\(\)"),
        (OptimizerSettings(kind="base"), r"'base' has no build\(\) in OptimizerSettings"),
    ],
)
def test_a_kind_that_cannot_be_built_is_told(asked: OptimizerSettings, message: str) -> None:
    settings = LoopSettings().model_copy(update={"optimizer": asked})
    with pytest.raises(UserError, match=message):
        build_optimizer(small_model(), settings)
