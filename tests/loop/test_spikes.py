"""Sudden long gradients skip their steps; many in a row return to the last checkpoint."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chiasm.assembly import train_run
from chiasm.errors import UserError
from chiasm.loop.metrics import read_metrics
from chiasm.loop.progress import Progress
from chiasm.loop.spikes import LEARNED_STEPS, asks_for_rollback, is_spike
from chiasm.ranks import ALONE
from chiasm.recipe import load_recipe
from chiasm.training.trainer import Trainer


def test_a_spike_is_told_by_the_mean_of_what_came_before() -> None:
    progress = Progress()
    for _ in range(LEARNED_STEPS):
        assert not is_spike(progress, {"norm": 2.0}, 3.0)
    assert progress.mean_norms == {"norm": pytest.approx(2.0)}
    assert not is_spike(progress, {"norm": 5.9}, 3.0)
    assert is_spike(progress, {"norm": 6.5}, 3.0)
    assert progress.mean_norms["norm"] == pytest.approx(0.98 * 2.0 + 0.02 * 5.9)
    assert not is_spike(progress, {"norm": 1e9}, None)


def test_the_first_steps_are_never_spikes() -> None:
    progress = Progress()
    assert not any(is_spike(progress, {"norm": 10.0**n}, 2.0) for n in range(20))


def test_a_run_that_goes_back_again_and_again_ends() -> None:
    progress = Progress()
    for _ in range(3):
        progress.spikes_in_a_row = 5
        assert asks_for_rollback(progress, ALONE)
        assert not asks_for_rollback(progress, ALONE)
    progress.spikes_in_a_row = 5
    with pytest.raises(UserError, match="again after 3 returns to a checkpoint"):
        asks_for_rollback(progress, ALONE)


@pytest.mark.slow
def test_a_run_passes_over_spikes_and_resumes_among_them(
    tiny_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From step 61 on gradients are a thousand times too long, for nine steps."""
    path = tiny_recipe(
        tmp_path / "recipe.toml",
        "training.steps=80",
        "training.spike_factor=50",
        "training.checkpoint_every_steps=30",
    )
    backward = Trainer.backward
    weights = {}

    def spiking(trainer: Trainer):
        found = backward(trainer)
        if 60 <= trainer.progress.step < 69:
            for parameter in trainer.decoder.parameters():
                parameter.grad *= 1e4
        if trainer.progress.step in (60, 66):
            own = trainer.decoder.token_embedding.detach().clone()
            weights.setdefault(trainer.progress.step, own)
        return found

    monkeypatch.setattr(Trainer, "backward", spiking)
    told: list[str] = []
    train_run(load_recipe(path), tmp_path / "whole", tell=told.append)
    assert told.count("spikes at step 65 of 80: back to the last checkpoint's weights") == 1
    assert torch.equal(weights[60], weights[66])  # the checkpoint of step 60
    lines = read_metrics(tmp_path / "whole" / "metrics.jsonl")
    skipped = [line["skipped_steps"] for line in lines if line["phase"] == "train"]
    assert skipped[59:70] == [0, *range(1, 10), 9]

    def kill(report) -> None:
        if report.step == 67:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(load_recipe(path), tmp_path / "killed", tell=told.append, on_step=kill)
    train_run(load_recipe(path), tmp_path / "killed", tell=told.append)
    files = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "killed")]
    assert files[0] == files[1]
