"""What goes wrong on one rank ends all of them, soon, with one message."""

import io
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chiasm.loop.metrics import read_metrics

pytestmark = pytest.mark.slow

FAULTY = str(Path(__file__).parent / "faulty.py")


@pytest.fixture(scope="module")
def train(
    ranks_recipe: Path, start_ranks: Callable[..., Any], ended_ranks: Callable[..., list[str]]
) -> Callable[..., Any]:
    """Trains on two ranks; returns their exit statuses and what they said."""

    def train(
        out: Path, *settings: str, command: tuple[str, ...] = ("-m", "chiasm"), ranks: int = 2
    ) -> tuple[list[int], list[str]]:
        told = [f"--set={each}" for each in settings]
        arguments = [*command, "train", str(ranks_recipe), "--out", str(out), *told]
        processes = start_ranks(ranks, arguments)
        said = ended_ranks(processes)
        return [process.returncode for process in processes], said

    return train


def messages(said: list[str]) -> list[str]:
    lines = (line for each in said for line in each.splitlines())
    return [line for line in lines if line.startswith("chiasm: ")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["stream.batch_size=3"],
            "stream.batch_size = 3 cannot be shared by 2 ranks; give a multiple of 2",
        ),
        (
            [
                "model.experts=moe",
                "model.moe.num_experts=5",
                "model.feedforward_width=96",
                "training.parallel.expert_ranks=2",
            ],
            "training.parallel.expert_ranks = 2 does not divide the 5 routed experts",
        ),
        (["model.widht=3"], "unknown setting model.widht"),
    ],
)
def test_a_mistake_is_told_once(
    train: Callable[..., Any], tmp_path: Path, settings: list[str], message: str
) -> None:
    statuses, said = train(tmp_path / "run", *settings)
    assert statuses == [2, 2], said
    [told] = messages(said)
    assert message in told
    assert "Traceback" not in "".join(said)


def test_a_document_that_breaks_one_rank_ends_all_and_saves(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    statuses, said = train(tmp_path / "run", command=(FAULTY, "mistake"))
    assert statuses == [2, 2], said
    assert messages(said) == ["chiasm: the third document is broken"]
    assert (tmp_path / "run" / "checkpoints" / "step-0000003").is_dir()


@pytest.mark.parametrize("background", ["false", "true"])
def test_a_disk_that_is_full_for_one_rank_is_told_once(
    train: Callable[..., Any], tmp_path: Path, background: str
) -> None:
    """The kernel itself refuses to write beyond a limit, as it does on a full disk."""
    split = ["training.parallel.shard_ranks=2", f"training.background_checkpoints={background}"]
    begin = "training.checkpoint_every_steps=2"  # one before it, at step 2, and one at step 4
    statuses, said = train(tmp_path / "run", *split, begin, command=(FAULTY, "full"))
    assert statuses == [2, 2], said
    [told] = messages(said)
    assert told.startswith("chiasm: the checkpoint of step 4 cannot be written to"), told
    assert "intact up to step 2" in told
    assert "Traceback" not in "".join(said)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-0000002"]


def test_a_shard_that_vanishes_ends_all_and_saves(
    ranks_recipe: Path,
    start_ranks: Callable[..., Any],
    ended_ranks: Callable[..., list[str]],
    noise_pictures: Callable[..., Any],
    tmp_path: Path,
) -> None:
    shard = write_tar(
        tmp_path / "shard.tar", noise_pictures(1200, (8, 8))
    )  # more than are remembered
    source = f'stream.sources={{pictures={{kind="image_text", path="{shard}"}}}}'
    out = tmp_path / "run"
    told = [f"--set={each}" for each in (source, "training.steps=100000")]
    arguments = ["-m", "chiasm", "train", str(ranks_recipe), "--out", str(out), *told]
    processes = start_ranks(2, arguments)
    while len(read_metrics(out / "metrics.jsonl")) < 3:
        assert all(process.poll() is None for process in processes)
        time.sleep(0.02)
    shard.unlink()
    said = ended_ranks(processes, 60)
    assert [process.returncode for process in processes] == [2, 2], said
    [message] = messages(said)
    assert "source 'pictures': " in message
    assert "shard.tar cannot be read: No such file" in message
    steps = [line["step"] for line in read_metrics(out / "metrics.jsonl")]
    assert (out / "checkpoints" / f"step-{steps[-1]:07}").is_dir()


def write_tar(path: Path, pictures: list[np.ndarray]) -> Path:
    """Writes pictures with captions in the WebDataset layout."""
    with tarfile.open(path, "w") as tar:
        for number, picture in enumerate(pictures):
            png = io.BytesIO()
            Image.fromarray(picture).save(png, "PNG")
            for suffix, content in (("png", png.getvalue()), ("txt", f"number {number}".encode())):
                member = tarfile.TarInfo(f"{number:04}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def test_a_defect_of_one_rank_keeps_its_traceback(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    statuses, said = train(tmp_path / "run", command=(FAULTY, "defect"))
    assert statuses == [1, 1], said
    assert "ZeroDivisionError: the third document is odd" in said[1]
    assert "Traceback" not in said[0]


def test_a_rank_that_hangs_prints_its_stack(
    ranks_recipe: Path, start_ranks: Callable[..., Any], tmp_path: Path
) -> None:
    limit = "--set=training.parallel.timeout_seconds=4"
    arguments = [FAULTY, "hangs", "train", str(ranks_recipe), "--out", str(tmp_path / "run"), limit]
    waits, hangs = start_ranks(2, arguments)
    said, _ = waits.communicate(timeout=120)
    hangs.kill()  # as torchrun does
    assert waits.returncode == 1, said
    assert "another rank has ended or did not answer within 4 s" in said
    assert "faulty.py" in hangs.communicate()[0]


def test_a_gradient_that_is_not_finite_on_one_rank_skips_the_step_on_all(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    statuses, said = train(tmp_path / "run", command=(FAULTY, "nan"))
    assert statuses == [0, 0], said
    steps = [
        line for line in read_metrics(tmp_path / "run/metrics.jsonl") if line["phase"] == "train"
    ]
    assert [line["skipped_steps"] for line in steps] == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7]
    assert steps[3]["gradient_norm"] is None


def test_ranks_with_other_recipes_are_refused(
    ranks_recipe: Path,
    start_ranks: Callable[..., Any],
    ended_ranks: Callable[..., list[str]],
    tmp_path: Path,
) -> None:
    arguments = [FAULTY, "seed", "train", str(ranks_recipe), "--out", str(tmp_path / "run")]
    processes = start_ranks(2, arguments)
    said = ended_ranks(processes, 60)
    assert [process.returncode for process in processes] == [2, 2], said
    [told] = messages(said)
    assert "seed differs between ranks: 0 on rank 0, 1 on rank 1" in told


def test_too_few_processes_are_told(
    ranks_recipe: Path, start_ranks: Callable[..., Any], ended_ranks: Callable[..., list[str]]
) -> None:
    limit = "--set=training.parallel.timeout_seconds=3"
    arguments = ["-m", "chiasm", "train", str(ranks_recipe), limit]
    [process] = start_ranks(1, arguments, WORLD_SIZE="2")
    [said] = ended_ranks([process], 60)
    assert process.returncode == 2, said
    assert "rank 0 of 2 does not find the others at 127.0.0.1:" in messages([said])[0]
