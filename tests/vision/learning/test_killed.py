"""A tokenizer's training in a process of its own: killed, stopped and gone on with."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nursery import Forked
from PIL import Image

STAGES = ("encoder", "decoder")
RECIPE = """
name = "mine"
objective = "self_supervised"

[source]
kind = "image_text"
path = "{folder}"
held_out_fraction = 0.2

[encoder]
image_pixels = 32
channels = 16
widths = [8, 16, 32]

[self_supervised.fit]
steps = 32
pictures_per_step = 16
warmup_steps = 2
checkpoint_steps = 5

[decoder]
kind = "vit"
width = 32
depth = 1
heads = 2
patch_pixels = 8

[reconstruction.fit]
steps = 32
pictures_per_step = 16
warmup_steps = 2
checkpoint_steps = 5

[reconstruction.adversarial]
weight = 0.5
start_step = 16
width = 8
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, train_scenes) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number, pixels in enumerate(train_scenes.pixels_MHW3[:80]):
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    path = folder.parent / "mine.toml"
    path.write_text(RECIPE.format(folder=folder))
    return path


@contextmanager
def training(
    recipe: Path, folder: Path, *settings: str, begin: type[subprocess.Popen] = Forked
) -> Iterator[subprocess.Popen]:
    """A training process of its own, which does not outlive the test."""
    options = [option for setting in settings for option in ("--set", setting)]
    command = ["vision", "train", str(recipe), "--out", str(folder), *options]
    with begin(
        [sys.executable, "-m", "chiasm", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # runs are equal where their threads are
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(process: subprocess.Popen, there: Callable[[], bool]) -> None:
    while process.poll() is None and not there():
        time.sleep(0.002)


def saved(folder: Path, stage: str, step: int) -> bool:
    """Whether a checkpoint of the step, or of a later one, is there."""
    names = (path.name for path in (folder / stage / "checkpoints").glob("step-*"))
    return any(name >= f"step-{step:07d}" for name in names)


@pytest.mark.slow
def test_killed_at_random_moments_equals_never_killed(recipe: Path, tmp_path: Path) -> None:
    """SIGKILL in both stages, about where the adversary begins; what is learned is that of one.

    That one is a process that was started anew, with other hashes of strings.
    """
    seed = random.randrange(1_000_000)  # other moments at every run of the test
    draw = random.Random(seed)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with training(recipe, whole, begin=subprocess.Popen) as begun:
        for stage, least in (("encoder", 5), ("decoder", 5), ("decoder", 12)):
            with training(recipe, killed) as process:
                step = least + draw.randrange(10)
                wait_until(process, lambda at=(killed, stage, step): saved(*at))
                time.sleep(draw.random() * 0.03)
        with training(recipe, killed) as resumed:
            output = resumed.communicate()[0]
        assert "the tokenizer is in" in output, output
        output = begun.communicate()[0]
        assert "the tokenizer is in" in output, output
    for name in ("weights.safetensors", *(f"{stage}/metrics.jsonl" for stage in STAGES)):
        same = (killed / name).read_bytes() == (whole / name).read_bytes()
        assert same, f"{name} differs, seed {seed}"


@pytest.mark.slow
def test_sigterm_saves_and_says_so(recipe: Path, tmp_path: Path) -> None:
    with training(recipe, tmp_path, "self_supervised.fit.steps=1000000") as process:
        wait_until(process, lambda: saved(tmp_path, "encoder", 5))
        process.send_signal(signal.SIGTERM)
        output = process.communicate()[0]
    assert process.returncode == 128 + signal.SIGTERM, output
    (said,) = (line for line in output.splitlines() if "stopped by SIGTERM" in line)
    assert "of 1000000 of stage encoder; saved. The same command goes on from here" in said
    step = int(said.partition("at step ")[2].split()[0])
    assert (tmp_path / "encoder" / "checkpoints" / f"step-{step:07d}" / "manifest.json").exists()


FULL = """
import resource, signal
from chiasm.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
main()
"""


@pytest.mark.slow
def test_a_full_disk_is_one_message(recipe: Path, tmp_path: Path) -> None:
    """The kernel itself refuses to write beyond a limit, as it does on a full disk."""
    command = ["vision", "train", str(recipe), "--out", str(tmp_path)]
    with Forked(
        [sys.executable, "-c", FULL, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        said = run.communicate()[1]
    assert run.returncode == 2, said
    assert "chiasm: the checkpoint of step 5 cannot be written to" in said
    assert "Traceback" not in said
