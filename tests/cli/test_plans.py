"""``chiasm plan``: what it refuses before anything is opened."""

from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image as PillowImage
from typer.testing import CliRunner

from chiasm.cli.plans import plan
from chiasm.errors import UserError

pytest.importorskip("evo", reason="evo is not installed: pip install 'chiasm[world]'")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "view.png"
    PillowImage.fromarray(np.full((10, 12, 3), 90, dtype=np.uint8)).save(path)
    return path


def refusal(*arguments: object) -> str:
    app = typer.Typer()
    app.command()(plan)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


def test_pictures_come_in_pairs_and_exist(tmp_path: Path, picture: Path):
    assert "--start and --goal belong together" in refusal(tmp_path, "--start", picture)
    missing = refusal(tmp_path, "--start", picture, "--goal", tmp_path / "none.png")
    assert f"--goal {tmp_path / 'none.png'} does not exist" in missing
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    assert "cannot be decoded" in refusal(tmp_path, "--start", broken, "--goal", picture)


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
    assert told.startswith("--set model.depth: the run was trained with another value")
