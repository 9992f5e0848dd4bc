"""Muon against torch's own, matrix by matrix, and against its definition."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from chiasm.assembly import train_run
from chiasm.batch.streams import Streams, StreamShape
from chiasm.inference.pretrained import Pretrained
from chiasm.loop.groups import build_optimizer, parameter_groups
from chiasm.loop.muon import Muon, orthogonalized
from chiasm.loop.optimizer import AdamWSettings, MuonSettings
from chiasm.loop.settings import LoopSettings
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.recipe import load_recipe

STREAMS = Streams((StreamShape("image", "vision", (2, 2), 4),))


def model(**changes: object) -> Decoder:
    shape = {"width": 32, "depth": 2, "query_heads": 4, "key_value_heads": 2, **changes}
    return Decoder(ModelSettings(**shape), vocabulary=20, streams=STREAMS)


@pytest.mark.parametrize("shape", [(3, 24, 40), (2, 40, 24), (1, 16, 16)])
def test_singular_values_come_near_one_and_vectors_stay(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    u, _, v = torch.linalg.svd(x, full_matrices=False)
    found = orthogonalized(x)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.3
    assert values.max() < 1.3
    inside = u.mT @ found @ v.mT
    off = inside - torch.diag_embed(inside.diagonal(dim1=-2, dim2=-1))
    assert off.abs().max() < 1e-4
    torch.testing.assert_close(orthogonalized(x[:1]), found[:1])


def matrices(name: str, weight: Tensor, decoder: Decoder) -> list[Tensor]:
    """The matrices that a weight of a block holds."""
    each = list(weight) if weight.ndim == 3 else [weight]
    if name.endswith("qkv.weight"):
        each = [part for own in each for part in own.split((32, 16, 16))]
    if name.endswith("gate_up"):
        each = [part for own in each for part in own.chunk(2)]
    return each


@pytest.mark.parametrize(
    "changes",
    [
        {"attention_weights": "modality"},
        {"experts": "moe", "feedforward_width": 64, "moe": {"num_experts": 6}},
    ],
)
def test_it_is_torchs_muon_on_every_matrix_and_adamw_elsewhere(changes: dict) -> None:
    decoder, expected, plain = model(**changes), model(**changes), {}
    muon = build_optimizer(decoder, LoopSettings(optimizer=MuonSettings(learning_rate=0.02)))
    hidden = {
        name: own
        for name, own in expected.named_parameters()
        if name.endswith(("qkv.weight", "out.weight", "gate_up", "down")) and "blocks" in name
    }
    assert len(hidden) == 2 * 4
    for name, weight in hidden.items():
        parts = matrices(name, weight.detach(), expected)
        plain[name] = [torch.nn.Parameter(part.clone()) for part in parts]
    reference = torch.optim.Muon(
        [part for parts in plain.values() for part in parts],
        lr=0.02,
        weight_decay=0.1,
        adjust_lr_fn="match_rms_adamw",
    )
    others = AdamWSettings(learning_rate=0.02)
    for own in hidden.values():
        own.requires_grad_(False)
    adamw = others.build(parameter_groups(expected, 0.1), steps_taken=0)
    for _ in range(3):
        for name, parameter in decoder.named_parameters():
            parameter.grad = torch.randn(parameter.shape)
            if name in hidden:
                parts = matrices(name, parameter.grad, decoder)
                for part, grad in zip(plain[name], parts, strict=True):
                    part.grad = grad.clone()
            else:
                expected.get_parameter(name).grad = parameter.grad.clone()
        for optimizer in (muon, reference, adamw):
            optimizer.step()
    for name, parameter in decoder.named_parameters():
        if name not in hidden:
            torch.testing.assert_close(
                parameter, expected.get_parameter(name), atol=1e-6, rtol=1e-5
            )
            continue
        for part, wanted in zip(matrices(name, parameter, decoder), plain[name], strict=True):
            # torch's iterations are in bfloat16
            assert (part - wanted).abs().max() < 0.02 * wanted.abs().max(), name


@pytest.mark.slow
def test_a_run_by_muon_resumes_bit_for_bit(
    tiny_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = load_recipe(tiny_recipe(tmp_path / "r.toml", "training.optimizer.kind=muon"))

    def kill(report) -> None:
        if report.step == 7:
            raise KeyboardInterrupt

    train_run(recipe, tmp_path / "whole", tell=lambda line: None)
    with pytest.raises(KeyboardInterrupt):
        train_run(recipe, tmp_path / "killed", tell=lambda line: None, on_step=kill)
    train_run(recipe, tmp_path / "killed", tell=lambda line: None)
    whole, killed = (Pretrained.load(tmp_path / name).decoder for name in ("whole", "killed"))
    for mine, theirs in zip(killed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_without_hidden_matrices_it_is_adamw() -> None:
    layer = torch.nn.Linear(3, 2)
    muon = build_optimizer(layer, LoopSettings(optimizer=MuonSettings()))
    assert isinstance(muon, Muon)
    layer.weight.grad = torch.ones(2, 3)
    before = layer.weight.detach().clone()
    muon.step()
    assert not torch.equal(before, layer.weight)
