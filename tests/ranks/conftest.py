"""Starts ranks: processes of this machine that find each other as those of torchrun do."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from nursery import Forked, start

Start = Callable[..., list[Forked]]


def ended(processes: Sequence[Forked], seconds: float = 240) -> list[str]:
    """Waits for all; returns what each wrote. None outlives the wait."""
    try:
        return [process.communicate(timeout=seconds)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()


@pytest.fixture(scope="session")
def start_ranks() -> Start:
    return start


@pytest.fixture(scope="session")
def ended_ranks() -> Callable[..., list[str]]:
    return ended


@pytest.fixture(scope="session")
def ranks_recipe(
    tiny_recipe: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Pictures with captions and texts, four rows a batch from four lanes."""
    path = tmp_path_factory.mktemp("ranks") / "recipe.toml"
    return tiny_recipe(
        path,
        "model.width=32",
        "model.depth=3",
        "model.query_heads=4",
        "model.key_value_heads=2",
        "stream.sequence_length=64",
        "stream.batch_size=4",
        "stream.lanes=4",
        "training.validation_batches=3",
        "training.optimizer.learning_rate=1e-2",
        "training.optimizer.epsilon=1e-3",
        "training.max_grad_norm=0.3",
    )
