"""Runs whose data go away under them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from chiasm.assembly import train_run
from chiasm.data.reading import LostError
from chiasm.loop.metrics import read_metrics
from chiasm.loop.progress import StepReport
from chiasm.recipe import Recipe, load_recipe


def write_shard(path: Path, pictures: list[np.ndarray], first: int) -> None:
    with tarfile.open(path, "w") as tar:
        for number, pixels in enumerate(pictures, first):
            file = io.BytesIO()
            PillowImage.fromarray(pixels).save(file, "PNG")
            text = f"picture {number}".encode()
            for name, content in ((f"{number}.png", file.getvalue()), (f"{number}.txt", text)):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))


@pytest.fixture
def recipe(
    tmp_path: Path, tiny_recipe: Callable[..., Path], noise_pictures: Callable[..., list]
) -> Recipe:
    """Shards of 12, 3 and 25 samples, which the recipe names as a list."""
    begin = 0
    for shard, count in enumerate((12, 3, 25)):
        write_shard(tmp_path / f"{shard}.tar", noise_pictures(count, (8, 8), seed=shard), begin)
        begin += count
    shards = f"{{kind = 'image_text', path = '{tmp_path}/{{0..2}}.tar', held_out_fraction = 0.2}}"
    return load_recipe(
        tiny_recipe(
            tmp_path / "recipe.toml",
            f"stream.sources={{shards = {shards}}}",
            "training.checkpoint_every_steps=100",
        )
    )


def losses(folder: Path) -> list[float]:
    lines = read_metrics(folder / "metrics.jsonl")
    return [line["loss"] for line in lines if line["phase"] == "train"]


@pytest.mark.slow
def test_a_lost_shard_ends_a_run_that_goes_on_when_it_is_back(
    recipe: Recipe, tmp_path: Path
) -> None:
    """With its name, after the state is saved; and then to the bit as if nothing had been."""
    train_run(recipe, tmp_path / "whole", tell=lambda line: None)
    shard, away = tmp_path / "2.tar", tmp_path / "away"

    def take_away(report: StepReport) -> None:
        if report.step == 2:
            shard.rename(away)

    with pytest.raises(LostError, match=r"^shards\[\d+\]: .*2\.tar cannot be read: No such file"):
        train_run(recipe, tmp_path / "run", tell=lambda line: None, on_step=take_away)
    done = len(losses(tmp_path / "run"))
    assert 2 <= done < len(losses(tmp_path / "whole"))
    away.rename(shard)
    told: list[str] = []
    train_run(recipe, tmp_path / "run", tell=told.append)
    assert f"going on from step {done} of" in " ".join(told)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
