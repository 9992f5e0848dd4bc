"""What a run writes while it trains, for those who look at it before its end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chiasm.assembly import train_run
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.loop.metrics import read_metrics
from chiasm.recipe import load_recipe


@pytest.mark.slow
def test_the_best_model_evaluations_and_a_trace(
    tiny_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = load_recipe(
        tiny_recipe(
            tmp_path / "recipe.toml",
            "training.steps=8",
            "training.validate_every_steps=2",
            "training.checkpoint_every_steps=3",
            "training.keep_best=loss",
            "training.optimizer.learning_rate=0.3",  # so that the last is not the best
            "training.schedule.warmup_steps=4",
            "training.evaluate_every_steps=4",
            'training.evaluated=["text"]',
            "training.trace_step=2",
        )
    )
    run, weights, told = tmp_path / "run", {}, []

    def look(report) -> None:
        if (run / "best").exists():
            weights[report.step] = Pretrained.load(run / "best").decoder.text_head.weight.clone()
        if report.step == 5 and len(weights) < 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(recipe, run, tell=told.append, on_step=look)
    train_run(recipe, run, tell=told.append)
    lines = [line for line in read_metrics(run / "metrics.jsonl") if line["phase"] == "validation"]
    best = min(lines, key=lambda line: line["loss"])
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    assert any(f"step {best['step']}: the lowest loss so far" in line for line in told)
    kept = Pretrained.load(run / "best").decoder.text_head.weight
    last = Pretrained.load(run).decoder.text_head.weight
    assert torch.equal(kept, last) == (best["step"] == 8)
    if best["step"] in weights:
        assert torch.equal(kept, weights[best["step"]])

    found = read_metrics(run / "evaluations" / "metrics.jsonl")
    assert [line["step"] for line in found] == [4, 8]
    table = json.loads((run / "evaluations" / "step-0000008" / "report.json").read_text())
    rows = {f"{row['section']}/{row['name']}": row["value"] for row in table["rows"]}
    assert {row["section"] for row in table["rows"]} == {"text", "recurrence"}
    assert rows.items() <= found[1].items()
    assert (run / "evaluations" / "step-0000004" / "report.html").exists()

    recorded = json.loads((run / "trace" / "step-0000002-rank-0.json").read_text())
    names = {event.get("name", "") for event in recorded["traceEvents"]}
    assert "aten::mm" in names or "aten::addmm" in names


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ('training.evaluated=["texts"]', r"training.evaluated = 'texts'.*choose from text"),
        ("training.keep_best=text", r"training.keep_best = 'text'.*choose .*text_loss"),
        ("training.keep_best=text_loss/poems", r"is no loss of a validation"),
    ],
)
def test_names_that_are_not_there(
    tiny_recipe: Callable[..., Path], tmp_path: Path, setting: str, told: str
) -> None:
    path = tiny_recipe(tmp_path / "recipe.toml", setting)
    with pytest.raises(UserError, match=told):
        train_run(load_recipe(path), tmp_path / "run", tell=lambda line: None)
