"""One broken held-out file in every kind of source: the verbs go on, and say what they left out."""

import json
import re
import shutil
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from typer.testing import CliRunner, Result

from chiasm.assembly import train_run
from chiasm.cli import app
from chiasm.data.source import Opening
from chiasm.data.sources import open_sources
from chiasm.errors import UserError
from chiasm.recipe import Recipe, load_recipe

pytestmark = pytest.mark.slow

RECIPE = """
name = "tiny"
[streams.image]
kind = "pixels"
image_pixels = 8
patch_pixels = 4
[tokenizer]
vocabulary_tokens = 280
[stream]
sequence_length = 128
batch_size = 4
[stream.sources]
captions = {{ kind = "image_text", path = "{folder}/captions", held_out_fraction = 0.5 }}
asked = {{ kind = "vqa", path = "{folder}/asked", held_out_fraction = 0.5 }}
walks = {{ kind = "trajectories", task = "action_video", path = "{folder}/walks", \
held_out_fraction = 0.5 }}
films = {{ kind = "trajectories", task = "video", path = "{folder}/films", \
held_out_fraction = 0.5 }}
[model]
width = 16
depth = 2
query_heads = 2
key_value_heads = 1
feedforward_width = 32
experts = "moe"
[model.moe]
num_experts = 8
granularity = 4
[training]
steps = 2
validation_batches = 8
[training.schedule]
warmup_steps = 1
[evaluation]
text_documents = 60
ngram_documents = 40
flow_documents = 30
questions = 60
next_views = 60
rollouts = 20
rollout_horizons = [1, 2]
steps = 1
answer_tokens = 8
continuation_tokens = 4
"""


def write_picture(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    PillowImage.fromarray(pixels).save(path)


def held_out_of(settings, sequence_length):
    opened = open_sources(settings, Opening(sequence_length))
    return {name: each.held_out for name, each in opened.items()}


@pytest.fixture(scope="module")
def recipe_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources of pictures and two of walks, whole."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("captions", "asked"):
        (folder / name).mkdir()
        lines = []
        for number in range(28):
            write_picture(folder / name / f"{number}.png", number)
            line = {"file_name": f"{number}.png", "text": f"picture {number}"}
            line |= {"question": "which number?", "answer": str(number)}
            lines.append(json.dumps(line))
        (folder / name / "metadata.jsonl").write_text("\n".join(lines))
    for name in ("walks", "films"):
        for number in range(4):
            walk = folder / name / str(number)
            walk.mkdir(parents=True)
            for k in range(8):
                write_picture(walk / f"{k}.png", 100 * number + k)
            position = [[number + (0.5 + 0.1 * number) * k, 0] for k in range(8)]
            content = {"position": position, "yaw": [0] * 8}
            (walk / "traj_data.json").write_text(json.dumps(content))
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(folder=folder))
    return path


@pytest.fixture(scope="module")
def broken(recipe_path: Path) -> dict[str, Path]:
    """By source a held-out file that is no picture any more."""
    recipe = load_recipe(recipe_path)
    sources = held_out_of(recipe.stream.sources, recipe.stream.sequence_length)
    files = {name: next(source[1].images).data for name, source in sources.items()}
    for name, file in files.items():
        break_held_out(recipe, name, file)
    return files


def break_held_out(recipe: Recipe, name: str, file: Path) -> None:
    """Break a file so that its source still holds it out, which follows from what is in it."""
    for number in count():
        file.write_bytes(f"no picture of {name}, {number}".encode())
        settings = {name: recipe.stream.sources[name]}
        source = held_out_of(settings, recipe.stream.sequence_length)[name]
        if file in {image.data for n in range(len(source)) for image in source[n].images}:
            return


@pytest.fixture(scope="module")
def told(recipe_path: Path, broken: dict[str, Path], tmp_path_factory) -> tuple[Path, list[str]]:
    """A run that was trained beside the broken files, and what was said meanwhile."""
    lines: list[str] = []
    run = tmp_path_factory.mktemp("runs") / "run"
    train_run(load_recipe(recipe_path), run, tell=lines.append)
    return run, lines


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_validation_says_what_it_passed_over(told: tuple[Path, list[str]]) -> None:
    said = "\n".join(told[1])
    assert "validation: " in said
    assert "held-out documents of source 'asked' are passed over" in said


def test_a_run_counts_what_it_skipped_and_names_the_first(
    recipe_path: Path, tmp_path: Path
) -> None:
    recipe = load_recipe(recipe_path)
    captions = recipe.stream.sources["captions"]
    copied = tmp_path / "captions"
    shutil.copytree(captions.path, copied)
    for file in sorted(copied.rglob("*.png"))[::3]:
        file.write_bytes(b"no picture")
    lines: list[str] = []
    recipe = load_recipe(recipe_path, [f"stream.sources.captions.path={copied}"])
    train_run(recipe, tmp_path / "run", tell=lines.append)
    [line] = [line for line in lines if line.startswith("captions: ") and "skipped" in line]
    assert re.match(r"captions: \d+ of \d+ documents skipped, .*; the first: captions\[.*png", line)


def test_an_evaluation_counts_them_and_measures_the_others(
    told: tuple[Path, list[str]], broken: dict[str, Path]
) -> None:
    run, _ = told
    result = invoke("evaluate", run, "--set", "training.device=cpu")
    table = json.loads((run / "report.json").read_text())
    assert set(table["passed_over"]) == set(broken)
    for name, found in table["passed_over"].items():
        assert found["reasons"].keys() == {"a picture cannot be decoded"}
        assert 0 < sum(found["reasons"].values()) < found["documents_read"]
        assert broken[name].name in found["first"]
        assert f"held-out data of source {name!r}: " in result.output.replace("\n", " ")
    assert "Held-out data that cannot be used" in (run / "report.html").read_text()
    sections = {row["section"] for row in table["rows"]}
    assert {"text", "questions", "next view", "rollout", "flow loss"} <= sections


def test_an_atlas_counts_them(told: tuple[Path, list[str]], broken: dict[str, Path]) -> None:
    run, _ = told
    invoke("experts", run, "--documents", 60, "--device", "cpu")
    skipped = json.loads((run / "experts" / "atlas.json").read_text())["skipped"]
    assert {f"held-out documents of {name}" for name in broken} <= skipped.keys()


def test_pictures_are_encoded_ahead(
    recipe_path: Path, broken: dict[str, Path], tmp_path: Path
) -> None:
    invoke("vision", "stats", recipe_path, "--out", tmp_path / "statistics.json")
    statistics = ["--set", f"streams.image.statistics={tmp_path / 'statistics.json'}"]
    invoke("vision", "encode", recipe_path, "--out", tmp_path / "latents", *statistics)
    [manifest] = (tmp_path / "latents").glob("**/*.json")
    shards = json.loads(manifest.read_text())["shards"]
    assert sum(len(shard["unreadable"]) for shard in shards) == len(broken)


def test_a_source_whose_held_out_pictures_are_mostly_broken_is_refused(
    told: tuple[Path, list[str]], broken: dict[str, Path]
) -> None:
    run, _ = told
    recipe: Recipe = load_recipe(run / "recipe.toml")
    held_out = held_out_of(recipe.stream.sources, 128)["captions"]
    files = {image.data for n in range(len(held_out)) for image in held_out[n].images}
    kept = {file: file.read_bytes() for file in files}
    try:
        for file in files:
            break_held_out(recipe, "captions", file)
        with pytest.raises(UserError, match=r"'captions': \d+ of \d+ documents cannot be used"):
            invoke("evaluate", run, "--set", "training.device=cpu")
    finally:
        for file, content in kept.items():
            file.write_bytes(content)
