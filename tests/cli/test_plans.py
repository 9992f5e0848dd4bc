"""``chiasm plan``: what it refuses before anything is opened, and what it says of few scenes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image as PillowImage
from typer.testing import CliRunner, Result

from chiasm.cli.plans import plan
from chiasm.errors import UserError
from chiasm.inference.walks import WalkDocuments

pytest.importorskip("evo", reason="evo is not installed: pip install 'chiasm[world]'")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "view.png"
    PillowImage.fromarray(np.full((10, 12, 3), 90, dtype=np.uint8)).save(path)
    return path


def invoke(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(plan)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refusal(*arguments: object) -> str:
    result = invoke(*arguments)
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


def test_pictures_come_in_pairs_and_exist(tmp_path: Path, picture: Path):
    assert "--start and --goal belong together" in refusal(tmp_path, "--start", picture)
    missing = refusal(tmp_path, "--start", picture, "--goal", tmp_path / "none.png")
    assert f"--goal {tmp_path / 'none.png'} cannot be read: No such file" in missing
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    assert "cannot be decoded" in refusal(tmp_path, "--start", broken, "--goal", picture)
    dot = tmp_path / "dot.png"
    PillowImage.new("RGB", (1, 1)).save(dot)
    assert "1 x 1 pixels" in refusal(tmp_path, "--start", picture, "--goal", dot)


def test_the_oracle_does_not_know_a_users_picture(tmp_path: Path, picture: Path):
    told = refusal(tmp_path, "--start", picture, "--goal", picture, "--oracle")
    assert "does not know where a picture of yours was taken" in told


def test_a_preset_that_is_not_there(tmp_path: Path):
    told = refusal(tmp_path, "--preset", "nwm")
    assert told.startswith("--preset nwm: choose one of embedded-world, thorough, navigation")


def test_an_out_that_cannot_become_a_folder(tmp_path: Path, picture: Path):
    assert "is a file; give a folder" in refusal(tmp_path, "--out", picture)


def test_settings_of_the_model_are_refused(tmp_path: Path):
    recipe = 'name = "run"\nstream.sources.texts = { kind = "text", path = "nowhere" }\n'
    (tmp_path / "recipe.toml").write_text(recipe)
    told = refusal(tmp_path, "--set", "model.depth=7")
    assert told.startswith("model.depth: the run was trained with another value")


WORLD = """
name = "small"
[world]
train_maps = 1
held_out_maps = 1
views_per_map = 3
walks_per_map = 1
frames_per_walk = 5
image_pixels = 16
[stream.sources]
walks = { kind = "world", task = "action_video" }
[evaluation.planner]
samples = 4
elites = 2
iterations = 1
solver_steps = 1
"""
LPIPS = 'evaluation.planner={cost="lpips", lpips_weights="nowhere"}'
SAMPLES = "evaluation.planner.samples=9"


@pytest.fixture
def run(world_model, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    replace(world_model, walks=WalkDocuments(views=2)).save(folder / "model")
    (folder / "recipe.toml").write_text(WORLD)
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "evaluation.plans=4"), "--set evaluation.plans=4: give it with --scenes"),
        (("--seed", 1, "--set", "evaluation.seed=2"), "give it with --seed"),
        (("--device", "cpu", "--set", "training.device=cpu"), "give it with --device"),
        (("--source", "x"), "--source x: the sources with walks are walks"),
        (("--set", "evaluation.planner.elites=9"), "evaluation.planner.elites = 9 are more than"),
        (("--preset", "thorough", "--set", SAMPLES), "sets evaluation.planner.samples=384"),
        (("--set", LPIPS), "alexnet-owt-7be5be79.pth is missing"),
    ],
)
def test_what_cannot_be_planned_is_told_before_anything_is_rendered(
    run: Path, tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    cache = tmp_path / "cache"
    assert message in refusal(run, "--cache", cache, *arguments)
    assert not cache.exists()


def test_pictures_are_planned_instead_of_scenes(run: Path, picture: Path) -> None:
    told = refusal(run, "--start", picture, "--goal", picture, "--scenes", 3)
    assert told.startswith("--scenes 3: --start and --goal are planned instead")


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    assert "nowhere does not exist; give a run" in refusal(tmp_path / "nowhere")


@pytest.mark.slow
def test_fewer_scenes_than_asked_for_and_a_single_map_are_told(run: Path, tmp_path: Path) -> None:
    arguments = ("--seed", 3, "--device", "cpu", "--cache", tmp_path / "cache")
    small = ("--set", "evaluation.history_frames=1")
    result = invoke(run, "--scenes", 9, *arguments, *small)
    assert result.exit_code == 0, result.output
    assert "--scenes 9: the held-out walks have 2" in result.stderr
    assert "nan" not in result.stdout
    assert "± needs two or more of them" in result.stdout
    written = json.loads((run / "plans" / "plans.json").read_text())
    assert written["settings"]["seed"] == 3
