"""``chiasm experts``: from a run that was trained here to its page."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from chiasm.assembly import train_run
from chiasm.cli import app
from chiasm.errors import UserError
from chiasm.recipe import load_recipe

DENSE = (
    *("stream.sequence_length=64", "model.depth=2", "model.feedforward_width=32"),
    *("training.steps=4", "training.validation_batches=0"),
)
MIXTURE = (
    *DENSE,
    'model.experts="moe"',
    'model.moe={num_experts=8, granularity=4, shared_experts="modality"}',
)


@pytest.fixture(scope="module")
def run(tiny_recipe: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    recipe = load_recipe(tiny_recipe(folder / "recipe.toml", *MIXTURE))
    train_run(recipe, folder / "mixture", tell=lambda line: None)
    return folder / "mixture"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["experts", *map(str, arguments)])


@pytest.mark.slow
def test_a_trained_mixture_gets_its_atlas(run: Path) -> None:
    result = invoke(run, "--documents", 10, "--cutoff", 0.3, "--seed", 5, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert f"the atlas is {run / 'experts' / 'atlas.html'}" in result.output
    assert "picture" in (run / "experts" / "atlas.html").read_text()
    record = json.loads((run / "experts" / "atlas.json").read_text())
    assert record["settings"] == {"seed": 5, "documents": 10, "cutoff": 0.3}
    assert record["documents"] == {"pictures": 10, "texts": 10}
    assert (record["routed_experts"], record["routed_choices"]) == (6, 3)
    assert (
        record["versions"]["training"]["git_commit"]
        == (json.loads((run / "versions.json").read_text())["git_commit"])
    )
    counts = np.array(record["specialisation"]["count"]).sum(axis=1)
    assert (counts + record["specialisation"]["unused"] == 6).all()


def test_a_dense_run_is_refused_before_anything_is_read(
    tiny_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    tiny_recipe(tmp_path / "recipe.toml", *DENSE)
    result = invoke(tmp_path)
    assert isinstance(result.exception, UserError)
    assert "model.experts = 'modality': this run has no learned routing" in str(result.exception)


def test_a_run_that_has_not_ended_has_no_atlas(
    tiny_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    tiny_recipe(tmp_path / "recipe.toml", *MIXTURE)
    result = invoke(tmp_path)
    assert isinstance(result.exception, UserError)
    assert "holds no model" in str(result.exception)


@pytest.mark.parametrize(
    ("option", "value", "bounds"),
    [
        *(("--cutoff", value, "give a number > 0 and < 1") for value in (0, 1, 1.5, "nan")),
        ("--documents", 1, "give a number ≥ 2"),
        ("--seed", -1, "give a number ≥ 0"),
    ],
)
def test_an_option_out_of_bounds_is_told_with_its_value(
    option: str, value: object, bounds: str, tmp_path: Path
) -> None:
    result = invoke(tmp_path, option, value)
    assert isinstance(result.exception, UserError)
    assert str(result.exception) == f"{option} {value}: {bounds}"


@pytest.mark.slow
def test_an_earlier_atlas_is_replaced_and_said_to_be(run: Path) -> None:
    invoke(run, "--documents", 3, "--device", "cpu")
    result = invoke(run, "--documents", 2, "--device", "cpu")
    assert "it replaces an earlier one (6 documents, cutoff 0.5, seed 0)" in result.output


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    result = invoke(tmp_path)
    assert isinstance(result.exception, UserError)
    assert "is no run: it has no recipe.toml" in str(result.exception)
