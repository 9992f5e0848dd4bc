"""Vision tokenizers trained by ranks are those of one process."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from chiasm.loop.metrics import read_metrics
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.vision.kinds import RaeSettings

pytestmark = pytest.mark.slow

STAGES = (
    "contrastive",
    "self-supervised",
    "decoder",
    "adversarial decoder",
    "vae",
    "adversarial vae",
)
RECIPE = """
name = "mine"
objective = "self_supervised"
source = {{ kind = "image_text", path = "{folder}", held_out_fraction = 0.2 }}
encoder = {{ image_pixels = 32, channels = 16, widths = [8, 16, 32] }}
self_supervised.fit = {{ steps = 40, pictures_per_step = 16, checkpoint_steps = 5 }}
reconstruction.fit = {{ steps = 40, pictures_per_step = 16, checkpoint_steps = 5 }}
reconstruction.sample_steps = 20
"""


@pytest.fixture(scope="module")
def numbers(
    start_ranks: Callable[..., Any],
    ended_ranks: Callable[..., list[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[int, Path]:
    """Folders of what every stage is on one process and on two ranks."""
    script = str(Path(__file__).parent / "tokenized.py")
    folders = {ranks: tmp_path_factory.mktemp(f"ranks-{ranks}") for ranks in (1, 2)}
    started = [start_ranks(ranks, [script, str(out)]) for ranks, out in folders.items()]
    for processes in started:
        said = ended_ranks(processes)
        assert [process.returncode for process in processes] == [0] * len(processes), said
    return folders


@pytest.mark.parametrize("stage", STAGES)
def test_two_ranks_equal_one_process(numbers: dict[int, Path], stage: str) -> None:
    alone, found = (torch.load(numbers[ranks] / f"{stage}.pt") for ranks in (1, 2))
    assert found["gradients"].keys() == alone["gradients"].keys()
    lengths = {name: grad.abs().max() for name, grad in alone["gradients"].items()}
    largest = max(lengths.values())
    for name, grad in alone["gradients"].items():
        assert (found["gradients"][name] - grad).abs().max() < 1e-5 * largest, name
    for step, (mine, theirs) in enumerate(zip(found["values"], alone["values"], strict=True)):
        # Two networks against each other carry the last digit away within ten steps.
        parts = stage == "adversarial vae" and step >= 4
        assert mine == pytest.approx(theirs, rel=0.02 if parts else 1e-5, abs=1e-5)
    for name, weight in alone["weights"].items():
        # AdamW makes a step of what is rounding alone, as of a bias that a norm takes away again.
        if lengths.get(name, largest) > 1e-5 * largest:
            assert (found["weights"][name] - weight).abs().max() < 1e-4, name
    assert found["equal"][0] == found["equal"][1]


def test_what_is_measured_is_that_of_one_process(numbers: dict[int, Path]) -> None:
    alone, found = (torch.load(numbers[ranks] / "measured.pt") for ranks in (1, 2))
    for name, value in alone.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5)


def test_samples_are_the_first_ranks(numbers: dict[int, Path]) -> None:
    for stage in ("decoder", "vae"):
        shown = [
            np.asarray(Image.open(out / "samples" / f"{stage}-000010.png")).astype(int)
            for out in numbers.values()
        ]
        assert np.abs(shown[0] - shown[1]).max() <= 1


@pytest.fixture(scope="module")
def recipe(picture_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of 80 pictures of four colours, without captions."""
    folder = tmp_path_factory.mktemp("pictures")
    corners = np.random.default_rng(0).integers(0, 256, size=(80, 2, 2, 3), dtype=np.uint8)
    picture_folder(folder, corners.repeat(16, axis=1).repeat(16, axis=2))
    path = folder.with_suffix(".toml")
    path.write_text(RECIPE.format(folder=folder))
    return path


Train = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def train(recipe: Path, start_ranks: Train) -> Train:
    def train(ranks: int, out: Path, *settings: str) -> list[Any]:
        told = [f"--set={each}" for each in settings]
        verb = ["-m", "chiasm", "vision", "train", str(recipe)]
        return start_ranks(ranks, [*verb, "--out", str(out), *told])

    return train


def wait_for(out: Path, stage: str, step: int, processes: list[Any]) -> None:
    """Until a checkpoint of the step or a later one is there."""

    def saved() -> Iterator[int]:
        for path in (out / stage / "checkpoints").glob("step-???????"):
            yield int(path.name.removeprefix("step-"))

    while not any(each >= step for each in saved()):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)


def test_two_ranks_then_one_then_two(
    train: Train, ended_ranks: Callable[..., list[str]], tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "killed"
    [said] = ended_ranks(train(1, whole))
    assert f"the tokenizer is in {whole}" in said
    two = train(2, out)
    wait_for(out, "encoder", 10, two)
    two[1].kill()
    said = ended_ranks(two)
    assert [process.returncode for process in two] == [1, -signal.SIGKILL]
    assert "another rank has ended" in said[0]
    [one] = train(1, out)
    wait_for(out, "decoder", 10, [one])
    one.send_signal(signal.SIGTERM)
    [told] = ended_ranks([one])
    assert one.returncode == 128 + signal.SIGTERM
    assert "of 40 of stage encoder" in told
    assert "of 40 of stage decoder; saved" in told
    two = train(2, out)
    said = ended_ranks(two)
    assert [process.returncode for process in two] == [0, 0], "\n".join(said)
    assert f"the tokenizer is in {out}" in said[0]
    assert said[1] == ""

    for stage in ("encoder", "decoder"):
        mine, theirs = (read_metrics(each / stage / "metrics.jsonl")[-1] for each in (out, whole))
        assert mine.pop("phase") == theirs.pop("phase")
        assert mine["pictures"] == 40 * 16
        assert mine == pytest.approx(theirs, rel=0.01)
    assert not list(out.rglob("checkpoints"))
    records = [json.loads((each / "description.json").read_text()) for each in (out, whole)]
    figures = [record["record"]["figures"] for record in records]
    assert figures[0] == pytest.approx(figures[1], rel=0.01)
    pictures = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    tokenizers = [open_tokenizer(RaeSettings(path=str(each))) for each in (out, whole)]
    mine, theirs = (tokenizer.encode(pictures) for tokenizer in tokenizers)
    assert (mine - theirs).abs().max() < 0.01


def test_pictures_that_two_ranks_cannot_share_are_refused(
    train: Train, ended_ranks: Callable[..., list[str]], tmp_path: Path
) -> None:
    processes = train(2, tmp_path / "out", "reconstruction.fit.pictures_per_step=15")
    said = ended_ranks(processes)
    assert [process.returncode for process in processes] == [2, 2]
    lines = [line for each in said for line in each.splitlines()]
    assert lines == [
        "chiasm: reconstruction.fit.pictures_per_step = 15 cannot be shared by 2 ranks; give a "
        "multiple of 2"
    ]
    assert not (tmp_path / "out").exists()
