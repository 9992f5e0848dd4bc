"""Packed positions per second of the data stream, on its one reading thread.

Two streams with the quickstart's rows: the embedded world's five sources from its cache, and
pictures in PNG files that must be opened and decoded. Beside them what the quickstart's training
consumes on this machine, and the ratio.

    python benchmarks/stream.py [world.train_maps=16 ...]     (settings to override in the recipe)
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from PIL import Image as PillowImage
from record import write_record

from chiasm.assembly import build_inputs, open_material, seconds_per_step
from chiasm.data.settings import StreamSettings
from chiasm.data.source import Opening
from chiasm.data.sources import open_sources
from chiasm.data.stream import Stream
from chiasm.documents import Source
from chiasm.recipe import load_recipe

RECIPE = Path(__file__).parents[1] / "recipes" / "quickstart.toml"
WINDOWS = 7
WINDOW_SECONDS = 2.0
PICTURE_FILES = 2000


def positions_per_second(stream: Stream) -> dict[str, float]:
    """Filled positions per second in several windows, the reading thread being the only limit."""
    next(stream)
    rates = []
    for _ in range(WINDOWS):
        begin, positions = time.perf_counter(), 0
        while time.perf_counter() - begin < WINDOW_SECONDS:
            positions += next(stream).num_filled
        rates.append(positions / (time.perf_counter() - begin))
    report = stream.report()
    stream.close()
    return {
        "positions_per_second": round(median(rates)),
        "slowest_window": round(min(rates)),
        "fastest_window": round(max(rates)),
        "filled_share": round(report.filled, 4),
    }


def picture_files(captions: Source, folder: Path) -> Mapping[str, object]:
    """Settings of a source of PNG files, written from the pictures of another source."""
    lines = []
    for number in range(min(PICTURE_FILES, len(captions))):
        image = next(captions[number].images)
        PillowImage.fromarray(image.pixels()).save(folder / f"{number}.png")
        lines.append(json.dumps({"image": f"{number}.png", "caption": f"frame {number}"}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return {"kind": "image_text", "path": str(folder)}


def main() -> None:
    recipe = load_recipe(RECIPE, sys.argv[1:])
    material = open_material(recipe)
    inputs = build_inputs(recipe, material.train)

    def measure(settings: StreamSettings, sources: Mapping[str, Source]) -> dict[str, float]:
        return positions_per_second(
            Stream(settings, sources, inputs.text_tokenizer, inputs.tokenizers, recipe.seed)
        )

    figures: dict[str, object] = {"embedded_world": measure(recipe.stream, material.train)}
    with tempfile.TemporaryDirectory() as folder:
        source = picture_files(material.train["image_text"], Path(folder))
        files = recipe.stream.model_dump() | {"sources": {"files": source}}
        settings = StreamSettings.model_validate(files)
        opened = open_sources(settings.sources, Opening(settings.sequence_length))
        sources = {name: each.train for name, each in opened.items()}
        figures["png_files"] = measure(settings, sources)
    world = figures["embedded_world"]
    assert isinstance(world, dict)
    step_seconds = seconds_per_step(recipe, material)
    batch_positions = recipe.stream.batch_size * recipe.stream.sequence_length
    training = batch_positions * world["filled_share"] / step_seconds
    figures["training_positions_per_second"] = round(training)
    figures["stream_over_training"] = round(world["positions_per_second"] / training, 1)
    write_record("stream", figures)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
