"""What tests of latents that were encoded ahead compare."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chiasm.assembly import build_inputs, build_run, open_material
from chiasm.recipe import Recipe

StepLosses = list[tuple[float, float, float]]


def losses_of_training(recipe: Recipe) -> StepLosses:
    """Loss, text loss and flow loss of each step, and of the validation after them."""
    material = open_material(recipe)
    run = build_run(recipe, material, build_inputs(recipe, material.train), lambda line: None)
    try:
        found = [run.trainer.step().values for _ in range(recipe.training.steps)]
    finally:
        run.stream.close()
    validation = run.trainer.validation
    assert validation is not None
    found.append(validation.run(run.trainer.decoder, run.trainer.objective))
    return [(v["loss"], v["text_loss"], v.get("flow_loss", 0.0)) for v in found]


def bytes_of_files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="session")
def all_losses() -> Callable[[Recipe], StepLosses]:
    return losses_of_training


@pytest.fixture(scope="session")
def content() -> Callable[[Path], dict[str, bytes]]:
    return bytes_of_files
