"""``chiasm evaluate``: what may be set for it, and what was settled when the model was trained."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from chiasm.cli.evaluate import evaluate
from chiasm.errors import UserError

RECIPE = """
name = "run"
stream.sources.texts = { kind = "text", path = "nowhere" }
training.steps = 2000
"""


def invoke(folder: Path, *settings: str) -> Exception:
    (folder / "recipe.toml").write_text(RECIPE)
    app = typer.Typer()
    app.command()(evaluate)
    result = CliRunner().invoke(app, [str(folder), *settings])
    assert isinstance(result.exception, UserError), result.output
    return result.exception


@pytest.mark.parametrize(
    "setting",
    ["streams.image.decoder=owner/decoder", "model.depth=7", "training.steps=3000", "seed=4"],
)
def test_what_the_model_was_trained_with_is_refused(setting: str, tmp_path: Path) -> None:
    name = setting.split("=")[0]
    with pytest.raises(UserError, match=f"{name}: the run was trained with another value"):
        raise invoke(tmp_path, "--set", setting)


def test_measures_data_and_device_may_be_set(tmp_path: Path) -> None:
    settings = ["evaluation.drawings=3", "stream.sources.texts.path=elsewhere"]
    (tmp_path / "model").mkdir()
    arguments = [each for setting in settings for each in ("--set", setting)]
    with pytest.raises(UserError, match="elsewhere"):  # it goes on to open the data
        raise invoke(tmp_path, *arguments, "--set", "training.device=cpu")


def test_a_run_without_a_model_is_refused_before_its_data_are_opened(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no model yet"):
        raise invoke(tmp_path, "--set", "stream.sources.texts.path=elsewhere")


@pytest.mark.parametrize(
    "setting",
    [
        "stream.sources.texts.held_out_fraction=0.5",
        "stream.sources.texts.document_characters=7",
        'stream.sources.more={kind="text", path="nowhere", held_out_fraction=0.5}',
    ],
)
def test_what_the_run_was_trained_on_is_not_measured_as_held_out(setting: str, tmp_path: Path):
    with pytest.raises(UserError, match=r"stream\.sources\.\w+\.\w+ = .* trains on documents"):
        raise invoke(tmp_path, "--set", setting)
