"""What the files beside a trained model say of it."""

import json
from pathlib import Path

import pytest

from chiasm.cli.choice import FIRST
from chiasm.cli.starts import WalkedRun
from chiasm.evaluation.rollouts import LAST, MEASURE, ImaginedWalks
from chiasm.inference.pretrained import Pretrained

RECIPE = """
name = "small"
[stream.sources]
a = { kind = "world", task = "TASK" }
"""


@pytest.fixture
def run(world_model: Pretrained, tmp_path: Path) -> Path:
    world_model.save(tmp_path / "model")
    return tmp_path


def opened(run: Path) -> WalkedRun:
    return WalkedRun(str(run), "cpu", FIRST)


def test_prompts_are_those_of_tasks_that_the_model_has_learned(run: Path) -> None:
    assert opened(run).prompts == {}
    for task, field in (("text", "write"), ("vqa", "ask"), ("image_text", "image")):
        (run / "recipe.toml").write_text(RECIPE.replace("TASK", task))
        assert list(opened(run).prompts) == [field]
    own = 'name = "own"\n[stream.sources]\na = { kind = "text", path = "notes" }\n'
    (run / "recipe.toml").write_text(own)
    assert opened(run).prompts == {}


def row(ahead: str, verdict: str, suffix: str = "") -> dict[str, str]:
    name = f"{MEASURE} of the imagined view {ahead} ahead{suffix}"
    section = ImaginedWalks.section
    return {"section": section, "name": name, "verdict": verdict, "baseline_name": LAST}


@pytest.mark.parametrize("name", ["report.json", "evaluation.json"])
def test_how_far_ahead_views_are_good_is_read_from_the_report(run: Path, name: str) -> None:
    assert opened(run).known == ""
    for verdicts, told in (
        (("beats", "beats"), "nearer to the truth than the last view up to 2 frames ahead"),
        (("beats", "worse"), "nearer to the truth than the last view up to 1 frame ahead"),
        (("worse", "worse"), "no nearer to the truth than the last view, not even 1 frame ahead"),
    ):
        rows = [row(f"{n} frame{'s' * (n > 1)}", each) for n, each in enumerate(verdicts, 1)]
        rows.append(row("1 frame", "beats", ", the mean"))
        (run / name).write_text(json.dumps({"rows": rows}))
        assert opened(run).known == f"by its report {told}"
    (run / name).write_text(json.dumps({"rows": []}))
    assert opened(run).known == ""
