"""Whole runs from a recipe that names folders: made, killed, stopped, resumed and refused."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from nursery import Forked
from safetensors.torch import load_file

from chiasm.assembly import build_inputs, build_run, open_material, seconds_per_step, train_run
from chiasm.assembly.record import recipe_on_disk
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.loop.metrics import read_metrics
from chiasm.model.settings import MoeSettings
from chiasm.recipe import Recipe, load_recipe, write_recipe

pytestmark = pytest.mark.slow

SETTINGS = (
    "seed=3",
    "training.steps=40",
    "training.validation_batches=2",
    "training.validate_every_steps=9",
)


@pytest.fixture
def recipe_path(tiny_recipe: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_recipe(tmp_path_factory.mktemp("recipe") / "tiny.toml", *SETTINGS)


@pytest.fixture
def recipe(recipe_path: Path) -> Recipe:
    return load_recipe(recipe_path)


COMMAND = [sys.executable, "-m", "chiasm", "train"]


@contextmanager
def training(
    recipe_path: Path, folder: Path, *settings: str, begin: type[subprocess.Popen] = Forked
) -> Iterator[subprocess.Popen]:
    """A training process of its own, which does not outlive the test."""
    options = [option for setting in settings for option in ("--set", setting)]
    with begin(
        [*COMMAND, str(recipe_path), "--out", str(folder), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # runs are equal where their threads are
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_lines(process: subprocess.Popen, path: Path, number: int) -> None:
    while process.poll() is None and not (
        path.exists() and path.read_bytes().count(b"\n") >= number
    ):
        time.sleep(0.002)


def test_killed_at_random_moments_equals_never_killed(recipe_path: Path, tmp_path: Path) -> None:
    """SIGKILL three times; metrics and weights are those of one run, bit for bit.

    That one is a process that was started anew, with other hashes of strings.
    """
    seed = random.randrange(1_000_000)  # other moments at every run of the test
    draw = random.Random(seed)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    with training(recipe_path, whole, begin=subprocess.Popen) as begun:
        for least in (1, 13, 25):
            with training(recipe_path, killed) as process:
                wait_for_lines(process, killed / "metrics.jsonl", least + draw.randrange(10))
                time.sleep(draw.random() * 0.03)
        with training(recipe_path, killed) as resumed:
            output = resumed.communicate()[0]
        assert "trained 40 steps" in output, output
        output = begun.communicate()[0]
        assert "trained 40 steps" in output, output
    for name in ("metrics.jsonl", "model/model.safetensors"):
        same = (killed / name).read_bytes() == (whole / name).read_bytes()
        assert same, f"{name} differs, seed {seed}"
    assert len(read_metrics(whole / "metrics.jsonl")) == 40 + 5


def test_sigterm_saves_and_says_so(recipe_path: Path, tmp_path: Path) -> None:
    with training(recipe_path, tmp_path, "training.steps=1000000") as process:
        wait_for_lines(process, tmp_path / "metrics.jsonl", 7)
        process.send_signal(signal.SIGTERM)
        output = process.communicate()[0]
    assert process.returncode == 128 + signal.SIGTERM, output
    assert "stopped by SIGTERM at step" in output
    step = read_metrics(tmp_path / "metrics.jsonl")[-1]["step"]
    assert (tmp_path / "checkpoints" / f"step-{step:07d}" / "manifest.json").exists()


def test_a_run_leaves_what_is_promised(recipe: Recipe, tmp_path: Path) -> None:
    told: list[str] = []
    stages: list[tuple[str, int, int]] = []
    train_run(
        recipe,
        tmp_path / "run",
        command="chiasm train",
        tell=told.append,
        on_stage=lambda *stage: stages.append(stage),
    )
    assert stages == [("preparing tokenizers", 0, 1), ("preparing tokenizers", 1, 1)]
    run = tmp_path / "run"
    assert load_recipe(run / "recipe.toml") == recipe
    record = json.loads((run / "versions.json").read_text())
    assert record["command"] == "chiasm train"
    assert record["torch"]
    shares = json.loads((run / "stream.json").read_text())["shares"]
    assert set(shares) == {"pictures", "texts"}
    model = Pretrained.load(run)
    assert model.context_positions == 32
    weights = load_file(run / "model" / "model.safetensors")
    assert set(weights) == set(model.decoder.state_dict())
    train_run(recipe, run, tell=told.append)


def test_a_run_of_a_version_that_knew_fewer_settings_goes_on(
    recipe: Recipe, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    half = recipe.model_copy(update={"training": recipe.training.model_copy(update={"steps": 5})})
    train_run(half, folder)
    path = folder / "recipe.toml"
    known = path.read_text()
    assert "router_bias_rate = 0.0\n" in known
    path.write_text(known.replace("router_bias_rate = 0.0\n", ""))
    train_run(half, folder)
    path.write_text(known.replace("router_bias_rate = 0.0\n", "router_bias_rate = 0.1\n"))
    with pytest.raises(UserError, match=r"training.router_bias_rate = 0.1 there, 0.0 here"):
        train_run(half, folder)


def test_other_settings_are_refused_and_named(recipe: Recipe, tmp_path: Path) -> None:
    short = recipe.model_copy(update={"training": recipe.training.model_copy(update={"steps": 4})})
    train_run(short, tmp_path / "run", tell=lambda line: None)
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    other = short.model_copy(update={"seed": 4})
    with pytest.raises(UserError, match="seed = 3 there, 4 here"):
        train_run(other, tmp_path / "run")
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before
    train_run(other, tmp_path / "run", fresh=True, tell=lambda line: None)
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() != before


def edited(file: Path, old: str, new: str) -> None:
    """Rewrite a file and give it its old time stamps back, as cp -p, tar and rsync do."""
    assert len(old) == len(new)
    stat = file.stat()
    file.write_text(file.read_text().replace(old, new))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_run_on_other_data_is_refused_and_one_on_a_copy_goes_on(
    tiny_data: Path, tiny_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    def read(data: Path) -> Recipe:
        return load_recipe(tiny_recipe(data / "tiny.toml", "training.steps=6", data=data))

    data = tmp_path / "data"
    shutil.copytree(tiny_data, data)
    short = read(data)
    told: list[str] = []
    train_run(short, tmp_path / "run", tell=told.append)
    assert told[0].startswith("pictures: 40 rows in metadata.jsonl, pictures from 'file_name'")
    kept = json.loads((tmp_path / "run" / "data.json").read_text())
    assert {name: found["rows"] for name, found in kept.items()} == {"pictures": 40, "texts": 40}
    stream = json.loads((tmp_path / "run" / "stream.json").read_text())
    assert stream["sources"]["pictures"]["column"] == "text"

    shutil.copytree(data, tmp_path / "copy")
    shutil.rmtree(data)
    (tmp_path / "copy").rename(data)  # all time stamps are new
    train_run(short, tmp_path / "run", tell=told.append)

    data.rename(tmp_path / "moved")
    data = tmp_path / "moved"
    short = read(data)
    train_run(short, tmp_path / "run", tell=told.append)
    assert str(data) in (tmp_path / "run" / "recipe.toml").read_text()

    edited(data / "texts" / "4.txt", "text 4", "text 9")
    with pytest.raises(UserError, match=r"other data:\n  stream\.sources\.texts: .*40 now"):
        train_run(short, tmp_path / "run", tell=told.append)
    train_run(short, tmp_path / "run", fresh=True, tell=told.append)


def test_changed_data_of_a_run_that_never_began_are_told(recipe: Recipe, tmp_path: Path) -> None:
    folder, told = tmp_path / "run", []
    write_recipe(recipe, tmp_path / "recipe.toml")
    folder.mkdir()
    (tmp_path / "recipe.toml").rename(folder / "recipe.toml")
    (folder / "data.json").write_text(
        json.dumps({"texts": {"rows": 7, "fingerprint": "of other texts"}})
    )
    train_run(recipe, folder, tell=told.append)
    assert any("texts: its data have changed since the run began: 7 rows" in line for line in told)


def test_a_run_that_never_began_gives_way(recipe: Recipe, tmp_path: Path) -> None:
    lost = recipe.stream.model_copy(
        update={
            "sources": {
                name: source.model_copy(update={"path": str(tmp_path / "typo")})
                for name, source in recipe.stream.sources.items()
            }
        }
    )
    with pytest.raises(UserError, match="typo"):
        train_run(recipe.model_copy(update={"stream": lost}), tmp_path / "run")
    short = recipe.model_copy(update={"training": recipe.training.model_copy(update={"steps": 4})})
    train_run(short, tmp_path / "run", tell=lambda line: None)


def test_a_folder_with_something_else_is_left_alone(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for fresh in (False, True):
        with pytest.raises(UserError, match="holds no run"):
            train_run(recipe, tmp_path, fresh=fresh)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_run_that_was_killed_at_once_begins_again(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml.partial").write_text("na")
    recipe_on_disk(recipe, tmp_path, fresh=False)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]


def test_short_rows_are_refused_before_anything_is_made(recipe: Recipe, tmp_path: Path) -> None:
    stream = recipe.stream.model_copy(update={"sequence_length": 6})
    with pytest.raises(
        UserError, match=r"stream\.sequence_length = 6 is shorter than one item of 4"
    ):
        train_run(recipe.model_copy(update={"stream": stream}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_later_stages_need_is_looked_for_first(recipe: Recipe, tmp_path: Path) -> None:
    settings = recipe.evaluation.model_copy(update={"reference_encoder": "nowhere"})
    with pytest.raises(UserError, match=r"evaluation\.reference_encoder = 'nowhere'"):
        train_run(recipe.model_copy(update={"evaluation": settings}), tmp_path / "run")
    device = recipe.training.model_copy(update={"device": "gpu"})
    with pytest.raises(UserError, match="'gpu' is not known"):
        train_run(recipe.model_copy(update={"training": device}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pixel_statistics_come_from_the_sources(recipe: Recipe) -> None:
    material = open_material(recipe)
    statistics = build_inputs(recipe, material.train).tokenizers["image"].statistics
    assert statistics.count > 4
    assert statistics.data == "pictures"
    assert np.mean(statistics.std_C) == pytest.approx(0.289, abs=0.03)  # uniform noise
    assert 0 < seconds_per_step(recipe, material, warmup_steps=1, steps=2) < 60


def test_a_model_too_narrow_for_the_noise_is_told(recipe: Recipe) -> None:
    material = open_material(recipe)
    inputs = build_inputs(recipe, material.train)
    channels = inputs.tokenizers["image"].channels
    warned = {}
    for prediction in ("v", "x"):
        for width in (channels, channels // 2):
            objective = recipe.objective.model_copy(update={"prediction": prediction})
            model = recipe.model.model_copy(update={"width": width})
            lines: list[str] = []
            ours = recipe.model_copy(update={"objective": objective, "model": model})
            build_run(ours, material, inputs, lines.append).stream.close()
            warned[prediction, width] = any("stays noisy" in line for line in lines)
    assert warned == {
        (each, width): (each, width) == ("v", channels // 2) for each, width in warned
    }


def test_a_model_that_no_memory_holds_is_refused_at_once(recipe: Recipe, tmp_path: Path) -> None:
    moe = MoeSettings(num_experts=10_000_000, granularity=2)
    model = recipe.model.model_copy(update={"experts": "moe", "moe": moe})
    with pytest.raises(UserError, match=r"needs \d+ GB.* or model\.moe\.num_experts"):
        train_run(recipe.model_copy(update={"model": model}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
