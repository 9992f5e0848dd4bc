"""Seeds that train together against the same seeds alone."""

from __future__ import annotations

import copy
import math
import shutil
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from chiasm.assembly import build_inputs, build_run, open_material, train_run
from chiasm.assembly.folder import train_runs
from chiasm.batch.packed import PackedBatch
from chiasm.errors import UserError
from chiasm.loop.metrics import read_metrics
from chiasm.model.settings import ModelSettings
from chiasm.model.stacked import DecoderStack
from chiasm.recipe import Recipe, load_recipe
from chiasm.stop import Stopped
from chiasm.training import together
from chiasm.training.losses import Counts, Losses
from chiasm.training.objective import Objective
from chiasm.training.settings import InnerObjective, ObjectiveSettings, TrainingSettings
from chiasm.training.together import losses_together, train_together, trains_faster_together
from chiasm.training.trainer import Trainer

SEEDS = range(3)


def numbers(losses: Losses) -> list[Tensor]:
    """Everything in them."""
    sums = [losses.text, *losses.flow.values(), *losses.inner.values()]
    parts = [value for own in sums for value in vars(own).values()]
    return [*parts, losses.balance_sum, losses.router_z_sum, losses.position_count, losses.load_QXE]


@pytest.mark.parametrize("inner", [None, {"block": 1}])
def test_losses_and_gradients_are_those_of_each_alone(naive, inner) -> None:
    decoders = [naive.decoder(0.2, seed, experts="modality", inner=inner) for seed in SEEDS]
    alone = copy.deepcopy(decoders)
    batches = [naive.random_batch(seed) for seed in SEEDS]
    latents = [naive.latents(batch, seed) for seed, batch in enumerate(batches)]
    objective = Objective(ObjectiveSettings(inner=InnerObjective(until_step=10)))
    counts = [Counts.of([batch]) for batch in batches]
    expected = []
    for seed, decoder in enumerate(alone):
        losses = objective.losses(decoder, batches[seed], latents[seed], seed, step=6)
        objective.total(losses, counts[seed]).backward()
        expected.append(losses.detach())
    stack, joined = DecoderStack(decoders), PackedBatch.joined(batches)
    z = {name: torch.cat([own[name] for own in latents]) for name in latents[0]}
    losses = losses_together(stack, objective, batches, joined, z, SEEDS, done=6)
    objective.total(losses, Counts.of_models(counts)).sum().backward()
    stack.hand_over()
    for found, wanted in zip(losses.detach().unbind(len(decoders)), expected, strict=True):
        for own, other in zip(numbers(found), numbers(wanted), strict=True):
            torch.testing.assert_close(own, other, atol=2e-5, rtol=1e-5)
    for own, other in zip(decoders, alone, strict=True):
        for parameter, wanted in zip(own.parameters(), other.parameters(), strict=True):
            error = float((parameter.grad - wanted.grad).norm())
            assert error < 1e-5 * float(wanted.grad.norm()) + 1e-6


@pytest.fixture
def recipes(tiny_recipe: Callable[..., Path], tmp_path: Path) -> Callable[..., list[Recipe]]:
    """The tiny recipe with every seed."""

    def write(*settings: str) -> list[Recipe]:
        path = tiny_recipe(tmp_path / "recipe.toml", "training.log_every_steps=1", *settings)
        return [load_recipe(path, [f"seed={seed}"]) for seed in SEEDS]

    return write


@pytest.fixture
def builds(recipes: Callable[..., list[Recipe]]) -> Callable[..., list[Trainer]]:
    """Their trainers."""

    def build(*settings: str) -> list[Trainer]:
        own = recipes(*settings)
        material = open_material(own[0])
        inputs = build_inputs(own[0], material.train)
        return [build_run(each, material, inputs, lambda line: None).trainer for each in own]

    return build


def trained(folders: Iterable[Path]) -> list[dict[str, float]]:
    """Every number of the runs' metrics, and their last weights."""
    found = []
    for folder in folders:
        lines = read_metrics(folder / "metrics.jsonl")
        assert [line["phase"] for line in lines].count("validation") > 0
        values = {
            f"{number}/{name}": value
            for number, line in enumerate(lines)
            for name, value in line.items()
            if isinstance(value, int | float)
        }
        found.append(values)
    return found


def alone(trainers: list[Trainer], folder: Path) -> list[Path]:
    folders = [folder / f"alone-{trainer.seed}" for trainer in trainers]
    for trainer, own in zip(trainers, folders, strict=True):
        own.mkdir(parents=True)
        trainer.run(own)
    return folders


def in_step(trainers: list[Trainer], folder: Path) -> dict[Path, Trainer]:
    found = {folder / f"together-{trainer.seed}": trainer for trainer in trainers}
    for own in found:
        own.mkdir(parents=True, exist_ok=True)
    return found


def assert_equal(found: list[dict[str, float]], wanted: list[dict[str, float]]) -> None:
    for own, other in zip(found, wanted, strict=True):
        assert own == pytest.approx(other, rel=2e-4, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("training.gradient_accumulation_steps=2",),
        (
            *("model.experts=dense", "model.depth=2", "model.inner.block=1"),
            "objective.inner.until_step=20",
        ),
    ],
)
def test_many_steps_are_those_of_each_alone(builds, tmp_path: Path, settings) -> None:
    settings = ("training.steps=25", *settings)
    given = in_step(builds(*settings), tmp_path)
    assert train_together(given) == {}
    found = trained(given)
    assert_equal(found, trained(alone(builds(*settings), tmp_path)))
    assert len({values["20/loss"] for values in found}) == len(SEEDS)


@pytest.fixture
def sizes(monkeypatch) -> list[int]:
    """How many models each joint pass was of."""
    found = []

    def counted(stack, objective, batches, *rest):
        found.append(len(batches))
        return losses_together(stack, objective, batches, *rest)

    monkeypatch.setattr(together, "losses_together", counted)
    return found


@pytest.mark.slow
def test_passes_are_made_together(builds, tmp_path: Path, sizes: list[int], monkeypatch) -> None:
    train_together(in_step(builds(), tmp_path))
    assert sizes == [len(SEEDS)] * 10
    monkeypatch.setattr(together, "LOGITS_BYTES", 1000)
    train_together(in_step(builds(), tmp_path / "large"))
    assert sizes == [len(SEEDS)] * 10, "logits of a large vocabulary are not made for all at once"


@pytest.mark.slow
def test_one_without_a_finite_gradient_ends_alone(builds, tmp_path: Path) -> None:
    settings = ("training.steps=14",)
    trainers = builds(*settings)
    with torch.no_grad():
        trainers[1].decoder.token_embedding.fill_(math.nan)
    given = in_step(trainers, tmp_path)
    failed = train_together(given)
    bad = tmp_path / "together-1"
    assert [*failed] == [bad]
    assert "was not finite in 10 steps in a row" in str(failed[bad])
    assert trainers[1].progress.step == 10
    wanted = trained(alone(builds(*settings), tmp_path))
    assert_equal(trained(own for own in given if own != bad), [wanted[0], wanted[2]])


@pytest.mark.slow
def test_one_whose_data_fail_ends_alone_and_is_saved(builds, tmp_path: Path) -> None:
    trainers = builds()
    read, reads = trainers[0].read, []

    def fails() -> list[PackedBatch]:
        reads.append(1)
        if len(reads) == 4:
            raise UserError("a document is broken")
        return read()

    trainers[0].read = fails
    given = in_step(trainers, tmp_path)
    failed = train_together(given)
    assert [str(error) for error in failed.values()] == ["a document is broken"]
    assert [own.progress.step for own in trainers] == [3, 10, 10]
    again = in_step(builds(), tmp_path)
    train_together(again)
    assert [own.progress.step for own in again.values()] == [10, 10, 10]
    assert_equal(trained(again), trained(alone(builds(), tmp_path)))


@pytest.mark.slow
def test_stopped_they_are_saved_at_one_step_and_go_on_bit_for_bit(builds, tmp_path: Path) -> None:
    whole = in_step(builds(), tmp_path / "whole")
    train_together(whole)
    trainers = builds()
    told = trainers[1].report

    def report(found):
        if trainers[1].progress.step == 6:
            signal.raise_signal(signal.SIGTERM)
        return told(found)

    trainers[1].report = report
    given = in_step(trainers, tmp_path)
    with pytest.raises(Stopped, match="stopped by SIGTERM at step 7 of 10"):
        train_together(given)
    assert [own.progress.step for own in trainers] == [7, 7, 7]
    again = in_step(builds(), tmp_path)
    train_together(again)
    assert trained(again) == trained(whole)
    for one, other in zip(again.values(), whole.values(), strict=True):
        for own, wanted in zip(one.decoder.parameters(), other.decoder.parameters(), strict=True):
            assert torch.equal(own, wanted)


@pytest.mark.slow
def test_who_was_saved_earlier_catches_up(builds, tmp_path: Path, sizes: list[int]) -> None:
    settings = ("training.steps=15", "training.keep_checkpoints=3")
    train_together(in_step(builds(*settings), tmp_path))
    sizes.clear()
    for seed, lost in ((0, (15,)), (1, (10, 15))):
        for step in lost:
            shutil.rmtree(tmp_path / f"together-{seed}" / "checkpoints" / f"step-{step:07}")
    again = in_step(builds(*settings), tmp_path)
    train_together(again)
    assert sizes == [2] * 5
    assert_equal(trained(again), trained(alone(builds(*settings), tmp_path)))


@pytest.mark.slow
def test_runs_together_leave_what_each_leaves_alone(recipes, tmp_path: Path) -> None:
    own = recipes()
    material = open_material(own[0])
    folders = [tmp_path / f"run-{recipe.seed}" for recipe in own]
    first = tmp_path / "first"
    train_run(own[0], first, tell=lambda line: None)
    (folders[1]).mkdir()
    (folders[1] / "thesis.txt").write_text("years of work")
    lines: dict[Path, list[str]] = {folder: [] for folder in folders}
    failed = train_runs(
        dict(zip(folders, own, strict=True)),
        material=material,
        inputs_from=first / "inputs",
        tell={folder: lines[folder].append for folder in folders},
    )
    assert [*failed] == [folders[1]]
    assert "holds no run" in str(failed[folders[1]])
    written = {path.name for path in first.iterdir()}
    for folder in (folders[0], folders[2]):
        assert {path.name for path in folder.iterdir()} == written
    assert lines[folders[0]]
    assert not (folders[1] / "model").exists()


@pytest.mark.parametrize(
    ("model", "training", "faster"),
    [
        ({}, {}, True),
        ({"width": 128}, {}, False),
        ({"experts": "moe"}, {}, False),
        ({"time_conditioning": "adaptive"}, {}, False),
        ({"shortcut_steps": 8}, {}, False),
        ({}, {"precision": "bfloat16"}, False),
        ({}, {"compile_blocks": True}, False),
        ({}, {"activation_checkpointing": "full"}, False),
        ({}, {"model_every_steps": 5}, False),
        ({}, {"frozen": ("blocks.*",)}, False),
        ({"inner": {"block": 2}}, {}, True),
        ({"inner": {"block": 2, "target": "average"}}, {}, False),
    ],
)
def test_what_trains_together(model, training, faster) -> None:
    shape = {"width": 32, "query_heads": 2, "key_value_heads": 1}
    settings = TrainingSettings(**({"steps": 10, "device": "cpu"} | training))
    assert trains_faster_together(ModelSettings(**(shape | model)), settings) is faster
