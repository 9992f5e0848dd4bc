"""Optimizers of one's own: the one of docs/training.md, and torch's SGD, which counts its steps."""

import re
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import torch

from chiasm.assembly import train_run
from chiasm.errors import UserError
from chiasm.loop.optimizer import OPTIMIZERS, OptimizerSettings
from chiasm.recipe import load_recipe

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


class CountedSGD(torch.optim.SGD):
    steps: ClassVar = 0

    def step(self, closure=None):
        CountedSGD.steps += 1
        super().step()


@OPTIMIZERS.register
class SGDSettings(OptimizerSettings):
    kind: Literal["sgd"] = "sgd"
    momentum: float = 0.9

    def build(self, groups):
        # The first step is not damped: one on zero gradients before it would show.
        return CountedSGD(groups, self.learning_rate, self.momentum, 0.5 * (self.momentum > 0))


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text(f"this is text {number} of twenty")
    [block] = re.findall(r'^```python\n("""lion\.py.*?)^```', PAGE.read_text(), re.M | re.S)
    (tmp_path / "lion.py").write_text(block)
    path = tmp_path / "recipe.toml"
    path.write_text(
        f"""
        name = "tiny"
        imports = ["lion.py"]
        tokenizer = {{ vocabulary_tokens = 280 }}
        model = {{ width = 16, depth = 1, query_heads = 2, key_value_heads = 1 }}
        [stream]
        sequence_length = 64
        batch_size = 1
        sources.t = {{ kind = "text", path = "{tmp_path}" }}
        [training]
        steps = 6
        checkpoint_every_steps = 2
        schedule.warmup_steps = 1
        """
    )
    return path


def optimizer(**settings: object) -> list[str]:
    return [f"training.optimizer.{name}={value}" for name, value in settings.items()]


LION = optimizer(kind="lion", weight_decay=0.5)
SGD = optimizer(kind="sgd", momentum=0.9)
STATELESS = optimizer(kind="sgd", momentum=0.0)


class Killed(BaseException):
    """What no handler catches, as SIGKILL."""


@pytest.mark.slow
@pytest.mark.parametrize("settings", [LION, SGD, STATELESS])
def test_killed_and_resumed_equals_uninterrupted(settings, recipe_path: Path) -> None:
    recipe, folder = load_recipe(recipe_path, settings), recipe_path.parent
    CountedSGD.steps = 0
    train_run(recipe, folder / "whole", tell=lambda line: None)
    assert CountedSGD.steps == (0 if settings is LION else recipe.training.steps)

    for last in (1, 3, 5):  # before there is a checkpoint, and twice after one

        def kill(report, last=last):
            if report.step == last:
                raise Killed

        with pytest.raises(Killed):
            train_run(recipe, folder / "killed", tell=lambda line: None, on_step=kill)
    train_run(recipe, folder / "killed", tell=lambda line: None)
    for name in ("metrics.jsonl", "model/model.safetensors"):
        assert (folder / "killed" / name).read_bytes() == (folder / "whole" / name).read_bytes()
    train_run(load_recipe(recipe_path), folder / "adamw", tell=lambda line: None)
    learned = [(folder / run / "metrics.jsonl").read_text() for run in ("whole", "adamw")]
    assert learned[0] != learned[1]


def test_a_mistyped_kind_names_the_known_ones(recipe_path: Path) -> None:
    told = r"training.optimizer.kind = 'lino' is no kind of optimizer; choose one of adamw.* lion"
    with pytest.raises(UserError, match=told):
        load_recipe(recipe_path, optimizer(kind="lino"))
    with pytest.raises(UserError, match=r"unknown setting training.optimizer.beta3; "):
        load_recipe(recipe_path, optimizer(kind="lion", beta3=0.9))
