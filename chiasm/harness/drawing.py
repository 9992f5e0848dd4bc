"""Draws the prompts of a picture benchmark into its folder; goes on where an earlier call stopped.

What was drawn, and with what, stands in a file beside the folder, because some benchmarks take
every file inside for a picture. Each picture is written whole, and its noise depends on its number
alone, so that a folder that was drawn in parts is the one that would have been drawn at once.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from pydantic import Field

from chiasm.data.preparation import Stage, silent
from chiasm.documents import Image
from chiasm.errors import UserError, first_line
from chiasm.harness.layouts import Layout, PictureFile, Prompt, beside, layout_of
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Generated, Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.tasks import picture_prompt
from chiasm.settings import Settings
from chiasm.toml import parse_settings
from chiasm.whole import write_whole

SEEDS = "sample s of prompt p, both from 0, is picture p * samples + s; its noise has seed + that"


class Drawn(Settings):
    """What a folder was drawn with, as the file beside it tells."""

    benchmark: str
    layout: str
    """Repository and commit that the folder's layout was read in."""
    prompts: str
    """Path of the prompts."""
    prompts_sha256: str
    num_prompts: int = Field(ge=1)
    samples: int = Field(ge=1)
    """Pictures of each prompt."""
    seed: int = Field(ge=0)
    seeds: str = SEEDS
    model: str
    weights_sha256: str
    sampling: SamplingSettings

    @classmethod
    def of(cls, out: Path) -> Drawn:
        """Returns the record of a folder.

        Raises:
            UserError: there is none, or it cannot be read.
        """
        path = beside(out)
        if not path.is_file():
            raise UserError(
                f"{out} has no {path.name} beside it, which tells what was drawn; give a folder of "
                "chiasm draw-benchmark"
            )
        try:
            return parse_settings(cls, json.loads(path.read_text()))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {first_line(error)}") from error

    def read_prompts(self) -> list[Prompt]:
        """Returns the prompts that were drawn.

        Raises:
            UserError: they are not there any more, or others.
        """
        prompts = layout_of(self.benchmark).read(Path(self.prompts))
        if prompts_sha256(prompts) != self.prompts_sha256:
            raise UserError(f"{self.prompts} has other prompts than were drawn; bring them back")
        return prompts


def prompts_sha256(prompts: Sequence[Prompt]) -> str:
    """Returns the hash of all that a benchmark has about its prompts."""
    return hashlib.sha256(json.dumps(prompts, sort_keys=True).encode()).hexdigest()


def draw_pictures(
    pretrained: Pretrained,
    drawn: Drawn,
    prompts: Sequence[Prompt],
    out: Path,
    on_stage: Stage = silent,
) -> list[PictureFile]:
    """Draws what is missing of a benchmark's folder, and returns all its files.

    Args:
        pretrained: a model that draws.
        drawn: what the folder is drawn with; it is kept beside the folder.
        prompts: all prompts of the benchmark.
        out: its folder.
        on_stage: callback with the number of files that are there, and that of all.

    Raises:
        UserError: the model cannot draw, a prompt is too long for it, the pictures have another
            shape than the benchmark reads, or the folder belongs to something else.
    """
    layout = layout_of(drawn.benchmark)
    files = layout.files(prompts, drawn.samples)
    if any(len(file.pictures) > 1 for file in files):
        _refuse_grid(pretrained, drawn.sampling.aspect)
    _claim(out, drawn)
    missing = [file for file in files if not (out / file.path).exists()]
    of_request = [file for file in missing for _ in file.pictures]
    requests = [
        Request(picture_prompt(prompts[file.prompt].words), drawn.seed + number, opens=True)
        for file in missing
        for number in file.pictures
    ]
    limits = drawn.sampling.model_copy(update={"max_items": 1, "max_tokens": 0})
    tiles: dict[PictureFile, dict[int, np.ndarray]] = defaultdict(dict)
    there = len(files) - len(missing)
    on_stage(drawn.benchmark, there, len(files))
    events = Sampler(pretrained).stream(requests, limits)
    begun = [*islice(events, 1)]  # before it, all prompts are checked
    _write_beside(layout, prompts, files, out, drawn)
    for event in chain(begun, events):
        if not isinstance(event, Generated) or not isinstance(event.item, Image):
            continue
        file = of_request[event.request]
        tiles[file][event.request] = event.item.pixels()
        if len(tiles[file]) == len(file.pictures):
            own = tiles.pop(file)
            write_whole(out / file.path, _png(grid([own[number] for number in sorted(own)])))
            on_stage(drawn.benchmark, there := there + 1, len(files))
    return files


def grid(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Returns pictures [H, W, 3] as one, with as many rows as columns."""
    side = math.isqrt(len(pictures))
    rows = [np.concatenate(pictures[row * side : (row + 1) * side], 1) for row in range(side)]
    return np.concatenate(rows)


def _refuse_grid(pretrained: Pretrained, aspect: float | None) -> None:
    """Refuses pictures that are not square: a benchmark cuts a grid of them by one side."""
    shape = pretrained.vision_tokenizer.image_shape
    own = shape.width_pixels / shape.height_pixels
    if (aspect or own) != 1:
        raise UserError(
            f"the model's pictures are {aspect or own:.2f} times as wide as high, and four of them "
            "lie in a grid, which the benchmark cuts into squares; give --samples 1, or --aspect 1 "
            "where its pictures keep their shapes"
        )


def _claim(out: Path, drawn: Drawn) -> None:
    """Refuses a folder of something else, or of other settings."""
    if not beside(out).is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out} holds something else; give a new folder")
        return
    before, asked = Drawn.of(out).model_dump(mode="json"), drawn.model_dump(mode="json")
    for name in ("model", "prompts"):  # wherever they lie
        del before[name], asked[name]
    before["sampling"].pop("batch_size"), asked["sampling"].pop("batch_size")
    for name, value in asked.items():
        if before[name] != value:
            raise UserError(
                f"{out} was begun with another {name} ({before[name]}, now {value}); give another "
                f"folder, or delete it and {beside(out)}"
            )


def _write_beside(
    layout: Layout, prompts: Sequence[Prompt], files: Sequence[PictureFile], out: Path, drawn: Drawn
) -> None:
    """Writes the record and what the scorer reads beside pictures, where it is not there."""
    texts = {beside(out): drawn.model_dump_json(indent=1) + "\n"}  # whose folder it is
    texts |= {out / name: text for name, text in layout.other_files(prompts, files, out).items()}
    for path, text in texts.items():
        if not path.is_file() or path.read_text() != text:
            write_whole(path, text)


def _png(pixels: np.ndarray) -> bytes:
    stored = io.BytesIO()
    PillowImage.fromarray(pixels).save(stored, "PNG")
    return stored.getvalue()
