"""A small study over folders: two cells that read other sources, with a base recipe beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from chiasm.errors import UserError
from chiasm.studies.cell import run_cell
from chiasm.studies.launcher import Job
from chiasm.studies.planned import plan
from chiasm.studies.runner import run_study
from chiasm.studies.settings import StudySettings, load_study

STUDY = """
name = "tiny-study"
question = "Do pictures hurt <texts>?"
recipe = "recipe.toml"
seeds = [0, 1]
equal = "tokens"
{more}

[[cells]]
name = "texts alone"
sources = {{ texts = 1.0 }}

[[cells]]
name = "with pictures"

[held_out.texts]
kind = "text"
path = "{folder}/texts"
held_out_fraction = 0.3
documents = 20

[held_out.pictures]
kind = "image_text"
path = "{folder}/pictures"
held_out_fraction = 0.3
documents = 20

[[metrics]]
name = "texts, in domain"
held_out = "texts"

[[metrics]]
name = "loss_vision"
held_out = "pictures"
loss = "flow"

[[metrics]]
name = "last validation"
validation = "text_loss"

[[published]]
cell = "texts alone"
metric = "texts, in domain"
value = 13.8
name = "perplexity"
source = "a paper, figure 5"

[[published]]
cell = "with pictures"
metric = "texts, in domain"
value = 13.9
name = "perplexity"
source = "a paper, figure 5"

[shift]
corpus = "texts"
texts = ["pictures"]
"""


class HereLauncher:
    """Runs each job where it stands: what any other launcher must do, in its smallest form."""

    slots = 1

    def __init__(self) -> None:
        self.started: list[str] = []
        self._ended: list[tuple[Job, int]] = []

    def start(self, job: Job) -> None:
        self.started.append(job.key)
        status = 0
        try:
            run_cell(job.folder, tell=lambda line: None)
        except UserError as error:
            (job.folder / "log.txt").write_text(f"chiasm: {error}\n")
            status = 2
        self._ended.append((job, status))

    def ended(self) -> list[tuple[Job, int]]:
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None:
        """Nothing runs between two calls."""


@pytest.fixture
def here() -> HereLauncher:
    return HereLauncher()


@pytest.fixture(scope="session")
def write_study(tiny_data: Path, tiny_recipe: Callable[..., Path]) -> Callable[..., Path]:
    """Writes the study into a folder, with more lines at its head and texts replaced."""

    def write(folder: Path, more: str = "", **replaced: str) -> Path:
        tiny_recipe(folder / "recipe.toml")
        text = STUDY.format(folder=tiny_data, more=more)
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        path = folder / "study.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def study_path(write_study: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Writes it for one test."""
    return partial(write_study, tmp_path)


@pytest.fixture(scope="session")
def finished_study(
    write_study: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[StudySettings, Path]:
    """The study with budgets, whose four cells ran, and their folder, which nobody changes."""
    folder = tmp_path_factory.mktemp("study")
    path = write_study(
        folder,
        **{
            'name = "texts alone"': 'name = "texts alone"\nbudget_flops = 1e8',
            'name = "with pictures"': 'name = "with pictures"\nbudget_flops = 1e8',
            'name = "texts, in domain"': 'name = "loss_text"',
            'metric = "texts, in domain"': 'metric = "loss_text"',
        },
    )
    study = load_study(path)
    run_study(plan(study, folder / "out", measure_time=False), HereLauncher())
    return study, folder / "out"
