"""``chiasm experts``: from a run that was trained here to its page."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from typer.testing import CliRunner, Result

from chiasm.assembly import train_run
from chiasm.cli import app
from chiasm.errors import UserError
from chiasm.recipe import load_recipe

RECIPE = """
name = "tiny"
[streams.image]
kind = "pixels"
image_pixels = 8
patch_pixels = 4
[tokenizer]
vocabulary_tokens = 280
[stream]
row_positions = 64
rows_per_batch = 2
[stream.sources]
pictures = {{ kind = "image_text", path = "{folder}/pictures", held_out_fraction = 0.5 }}
texts = {{ kind = "text", path = "{folder}/texts", held_out_fraction = 0.5 }}
[model]
width = 16
depth = 2
query_heads = 2
key_value_heads = 1
feedforward_width = 32
[model.moe]
num_experts = 8
granularity = 4
shared = "modality"
[training]
steps = 4
validation_batches = 0
[training.schedule]
warmup_steps = 1
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in ("texts", "pictures"):
        (folder / name).mkdir()
    random = np.random.default_rng(0)
    lines = ["file_name,text"]
    for number in range(30):
        (folder / "texts" / f"{number}.txt").write_text(f"this is text {number} of thirty")
        pixels = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        PillowImage.fromarray(pixels).save(folder / "pictures" / f"{number}.png")
        lines.append(f"{number}.png,picture {number}")
    (folder / "pictures" / "metadata.csv").write_text("\n".join(lines) + "\n")
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(folder=folder))
    return path


@pytest.fixture(scope="module")
def run(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "mixture"
    train_run(load_recipe(recipe, ["model.experts=moe"]), folder, tell=lambda line: None)
    return folder


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["experts", *map(str, arguments)])


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


def test_a_dense_run_is_refused_before_anything_is_read(recipe: Path, tmp_path: Path) -> None:
    before, _, after = recipe.read_text().partition("[model.moe]")
    (tmp_path / "recipe.toml").write_text(before + after[after.index("[training]") :])
    result = invoke(tmp_path)
    assert isinstance(result.exception, UserError)
    assert "model.experts = 'modality': this run has no learned routing" in str(result.exception)


def test_a_run_that_has_not_ended_has_no_atlas(recipe: Path, tmp_path: Path) -> None:
    text = recipe.read_text().replace("depth = 2", 'depth = 2\nexperts = "moe"')
    (tmp_path / "recipe.toml").write_text(text)
    result = invoke(tmp_path)
    assert isinstance(result.exception, UserError)
    assert "holds no model" in str(result.exception)


@pytest.mark.parametrize(
    ("option", "value", "bounds"),
    [
        *(("--cutoff", value, "give a number above 0 and below 1") for value in (0, 1, 1.5, "nan")),
        ("--documents", 1, "give at least 2"),
        ("--seed", -1, "give at least 0"),
    ],
)
def test_an_option_out_of_bounds_is_told_with_its_value(
    option: str, value: object, bounds: str, tmp_path: Path
) -> None:
    result = invoke(tmp_path, option, value)
    assert isinstance(result.exception, UserError)
    assert str(result.exception) == f"{option} {value}: {bounds}"


def test_an_earlier_atlas_is_replaced_and_said_to_be(run: Path) -> None:
    invoke(run, "--documents", 3, "--device", "cpu")
    result = invoke(run, "--documents", 2, "--device", "cpu")
    assert "it replaces an earlier one (6 documents, cutoff 0.5, seed 0)" in result.output


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    result = invoke(tmp_path)
    assert isinstance(result.exception, UserError)
    assert "is no run: it has no recipe.toml" in str(result.exception)
