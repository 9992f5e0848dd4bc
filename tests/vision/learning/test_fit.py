"""A fit whose number of threads nobody decided: measured, recorded, and without a trace."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from chiasm.loop.tracker import TrackerSettings
from chiasm.roles import Role
from chiasm.vision.learning.draw import Draw
from chiasm.vision.learning.fit import Fit, Losses, Stage, stage_about
from chiasm.vision.learning.settings import FitSettings, TokenizerTrainingSettings


class Line(Stage):
    """A straight line through noisy points."""

    roles: ClassVar = {"weight": Role.MATRIX}

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 1))

    def losses(self, draw: Draw) -> Losses:
        x_B4 = torch.randn(len(draw.numbers), 4, generator=draw.generator)
        noise = draw.rng.standard_normal()
        return Losses({"square": (x_B4 @ self.weight - x_B4.sum(1, True) - noise).square().mean()})


def trained(folder: Path, steps: int = 30) -> Tensor:
    folder.mkdir(exist_ok=True)
    stage = Line()
    settings = FitSettings(steps=steps, pictures_per_step=8, checkpoint_steps=10)
    fit = Fit("line", stage, 32, settings, 0, folder, "a line", tell=lambda line: None)
    fit.run(folder / "line")
    return stage.weight.detach()


def test_a_stage_tells_a_tracker_its_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[tuple[str, Any]] = []
    package = ModuleType("trackio")
    run = SimpleNamespace(log=lambda *told, **at: kept.append((*told, at)), finish=lambda: None)
    package.init = lambda **given: kept.append(("init", given)) or run
    monkeypatch.setitem(sys.modules, "trackio", package)
    settings = FitSettings(steps=3, pictures_per_step=8)
    tracker = TrackerSettings(kind="trackio", project="ours")
    fit = Fit("line", Line(), 32, settings, 0, tmp_path, "a line", tell=print, tracker=tracker)
    fit.about = stage_about(TokenizerTrainingSettings(name="mine"), "line")
    fit.run(tmp_path / "line")
    assert kept[0][1]["name"].startswith("mine: line ")
    assert kept[0][1]["config"]["kind"] == "rae"
    [(values, at)] = kept[1:]
    assert at == {"step": 3}
    assert values["train/square"] > 0


@pytest.fixture
def nobody_decided(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Torch has two threads of its own accord."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    torch.set_num_threads(2)
    monkeypatch.setattr("chiasm.threads._AT_IMPORT", 2)
    monkeypatch.setattr("chiasm.threads.MEASURING_SECONDS", 0.01)
    yield
    torch.set_num_threads(1)


def test_measuring_the_threads_leaves_no_trace(tmp_path: Path, nobody_decided: None) -> None:
    measured = trained(tmp_path / "measured")
    record = json.loads((tmp_path / "measured" / "line" / "threads.json").read_text())
    assert record[0]["step"] == 0
    assert record[0]["threads"] in (1, 2)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    given = trained(tmp_path / "given")
    assert json.loads((tmp_path / "given" / "line" / "threads.json").read_text()) == [
        {"step": 0, "threads": 1}
    ]
    assert torch.equal(measured, given)
    logs = [(tmp_path / n / "line" / "metrics.jsonl").read_bytes() for n in ("measured", "given")]
    assert logs[0] == logs[1]
