"""A small study over folders: two cells that read other sources, with a base recipe beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from chiasm.errors import UserError
from chiasm.studies import Job, run_cell

RECIPE = """
name = "tiny"

[streams.image]
kind = "pixels"
image_pixels = 8
patch_pixels = 4

[tokenizer]
vocabulary_tokens = 280

[stream]
row_positions = 32
rows_per_batch = 2

[stream.sources.pictures]
kind = "image_text"
path = "{folder}/pictures"
held_out_fraction = 0.3

[stream.sources.texts]
kind = "text"
path = "{folder}/texts"
held_out_fraction = 0.3

[model]
width = 16
depth = 1
query_heads = 2
key_value_heads = 1

[training]
steps = 10
validation_batches = 1
checkpoint_every_steps = 5

[training.schedule]
warmup_steps = 3
"""

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
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    drawn = np.random.default_rng(0)
    pictures, texts = folder / "pictures", folder / "texts"
    pictures.mkdir()
    texts.mkdir()
    rows = []
    for number in range(40):
        pixels = drawn.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        PillowImage.fromarray(pixels).save(pictures / f"{number}.png")
        rows.append({"file_name": f"{number}.png", "text": f"number {number}"})
        (texts / f"{number}.txt").write_text(f"this is text {number} of forty, read here")
    (pictures / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def study_path(data_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes the study, with more lines at its head and texts replaced, and gives its path."""

    def write(more: str = "", **replaced: str) -> Path:
        (tmp_path / "recipe.toml").write_text(RECIPE.format(folder=data_folder))
        text = STUDY.format(folder=data_folder, more=more)
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "study.toml"
        path.write_text(text)
        return path

    return write
