"""Adapters: nothing at first, and then a model as any other."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from chiasm.assembly import train_run
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.loop.metrics import read_metrics
from chiasm.model.experts import Experts
from chiasm.model.layers import Linear
from chiasm.recipe import load_recipe
from chiasm.roles import Role
from chiasm.training.adapters import adapt, merged
from chiasm.training.settings import LoraSettings

Train = Callable[..., Path]


class Two(nn.Module):
    """A matrix between hidden vectors, several of them, and one at the end."""

    roles: ClassVar = {"inside.weight": Role.HIDDEN}

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.head = Linear(6, 4), Linear(4, 3)
        self.experts = Experts(2, 4, 5)
        for weight in self.parameters():
            nn.init.normal_(weight)


def test_what_is_written_is_the_sum() -> None:
    model = Two()
    before = {name: own.clone() for name, own in model.state_dict().items()}
    settings = LoraSettings(rank=2, scale=3.0, on=("inside.*", "experts.*"), trained=("head.*",))
    told: list[str] = []
    adapt(model, settings, 0, told.append)
    assert told == ["training.lora: 124 numbers are learned beside 156"]
    assert torch.equal(model.inside.weight, before["inside.weight"]), "nothing is added at first"
    learned = [name for name, own in model.named_parameters() if own.requires_grad]
    assert sorted(learned) == [
        *(f"experts.parametrizations.down.0.{name}" for name in ("down", "up")),
        *(f"experts.parametrizations.gate_up.0.{name}" for name in ("down", "up")),
        "head.weight",
        *(f"inside.parametrizations.weight.0.{name}" for name in ("down", "up")),
    ]
    with torch.no_grad():
        for name, own in model.named_parameters():
            if name.endswith("up"):
                own.normal_()
    found = merged(model.state_dict(), settings.scale)
    assert found.keys() == before.keys()
    torch.testing.assert_close(found["inside.weight"], model.inside.weight.detach())
    torch.testing.assert_close(found["experts.down"], model.experts.down.detach())
    assert not torch.equal(found["experts.down"], before["experts.down"])
    assert torch.linalg.matrix_rank(found["inside.weight"] - before["inside.weight"]) == 2


@pytest.fixture(scope="module")
def train(tiny_recipe: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Train:
    folder = tmp_path_factory.mktemp("adapters")

    def train(name: str, *settings: str, tell: Callable[[str], None] = lambda line: None) -> Path:
        recipe = load_recipe(tiny_recipe(folder / f"{name}.toml", *settings))
        train_run(recipe, folder / name, tell=tell)
        return folder / name

    return train


@pytest.mark.slow
@pytest.mark.parametrize("experts", ["modality", "moe"])
def test_a_run_learns_adapters_alone_and_resumes_exactly(train: Train, experts: str) -> None:
    own = [f"model.experts={experts}", "model.depth=2"]
    if experts == "moe":
        own += ["model.moe={num_experts=4, granularity=2}", "stream.batch_size=4"]
    begun = train(f"begun-{experts}", *own)
    lora = [*own, f"initialize.model={begun}", "training.lora={rank=2}", "training.ema_decay=0.9"]
    whole = train(f"whole-{experts}", *lora)

    class Killed(Exception): ...

    recipe = load_recipe(whole / "recipe.toml")

    def kill(report: object) -> None:
        if report.step == 7:
            raise Killed

    cut = whole.with_name(f"killed-{experts}")
    with pytest.raises(Killed):
        train_run(recipe, cut, tell=lambda line: None, on_step=kill)
    train_run(recipe, cut, tell=lambda line: None)
    assert read_metrics(cut / "metrics.jsonl") == read_metrics(whole / "metrics.jsonl")
    first, last, resumed = (
        dict(Pretrained.load(f).decoder.named_parameters()) for f in (begun, whole, cut)
    )
    assert first.keys() == last.keys()
    moved = {name for name in first if not torch.equal(first[name], last[name])}
    assert moved
    assert moved == {
        name
        for name in first
        if name.startswith("blocks.")
        and name.split(".", 2)[2].startswith(("attention.qkv", "attention.out", "experts."))
        and not name.endswith(("gain", "bias"))
        and "router" not in name
    }
    for name, weight in resumed.items():
        assert torch.equal(weight, last[name]), name


@pytest.mark.slow
def test_adapters_adapt_a_trained_model(train: Train) -> None:
    with pytest.raises(UserError, match=r"training\.lora .*initialize\.model is not set"):
        train("alone", "training.lora={rank=2}")
    begun = train("to-be-refused")
    own = [f"initialize.model={begun}", "training.lora={rank=2, on=['block.*']}"]
    with pytest.raises(UserError, match=r"training\.lora\.on = 'block\.\*' matches no parameter"):
        train("elsewhere", *own)
    with pytest.raises(UserError, match=r"training\.frozen = .* leave it out"):
        train("frozen", own[0], "training.lora={}", "training.frozen=['blocks.*']")
