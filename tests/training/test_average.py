"""The moving average of weights, against its recursion written out."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chiasm.assembly import train_run
from chiasm.inference.pretrained import Pretrained
from chiasm.loop.metrics import read_metrics
from chiasm.recipe import load_recipe
from chiasm.training.average import Average

DECAY = 0.9


def test_the_recursion() -> None:
    module = torch.nn.Linear(2, 3)
    average, expected = Average(module, DECAY), module.weight.detach().clone()
    for step in range(1, 121):
        with torch.no_grad():
            module.weight += torch.randn(3, 2)
        average.update(step)
        decay = min(DECAY, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * module.weight.detach()
    torch.testing.assert_close(average.weights["weight"], expected)
    own = module.weight.detach().clone()
    with average.in_use():
        assert torch.equal(module.weight, average.weights["weight"])
    assert torch.equal(module.weight, own)
    with pytest.raises(ZeroDivisionError), average.in_use():
        raise ZeroDivisionError
    assert torch.equal(module.weight, own)


@pytest.mark.slow
def test_a_run_writes_measures_and_resumes_its_average(
    tiny_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    path = tiny_recipe(
        tmp_path / "recipe.toml",
        f"training.ema_decay={DECAY}",
        "training.model_every_steps=4",
        "training.validate_every_steps=5",
    )
    recipe, seen = load_recipe(path), {}

    def look(name: str) -> Callable[..., None]:
        def on_step(report) -> None:
            if name == "killed" and report.step == 7:
                raise KeyboardInterrupt
            if report.step == 5:  # after that of step 4 was written
                model = Pretrained.load(tmp_path / name / "model")
                seen[name] = model.decoder.text_head.weight.clone()

        return on_step

    train_run(recipe, tmp_path / "whole", tell=lambda line: None, on_step=look("whole"))
    with pytest.raises(KeyboardInterrupt):
        train_run(recipe, tmp_path / "killed", tell=lambda line: None, on_step=look("killed"))
    train_run(recipe, tmp_path / "killed", tell=lambda line: None)
    whole, killed = (Pretrained.load(tmp_path / name).decoder for name in ("whole", "killed"))
    for mine, theirs in zip(killed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert not torch.equal(seen["whole"], whole.text_head.weight)
    lines = read_metrics(tmp_path / "whole" / "metrics.jsonl")
    held_out = [line for line in lines if line["phase"] == "validation"]
    assert len(held_out) == 2
    for line in held_out:
        assert line["average/text_loss"] != line["text_loss"]
