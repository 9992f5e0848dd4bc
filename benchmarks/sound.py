"""Seconds of sound per second of the data stream's one reading thread, beside a bare reader's.

For files of several formats: what libsndfile's package decodes on one thread, what the reader of
this library does, and what the stream makes of the same files, with words, packed rows and
everything, in turns and in processor time. Beside it the time that encoding takes.

    python benchmarks/sound.py [seconds=10]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
import torch
from record import write_record

import chiasm.data.stream
from chiasm.assembly import build_inputs, build_stream, open_material
from chiasm.recipe import Recipe, parse_recipe
from chiasm.waveform import decoded

FORMATS: dict[str, tuple[str, int, dict[str, str]]] = {
    "wav": ("wav", 1, {"subtype": "PCM_16"}),
    "wav, two channels": ("wav", 2, {"subtype": "PCM_16"}),
    "flac": ("flac", 1, {}),
    "mp3": ("mp3", 1, {}),
    "ogg": ("ogg", 1, {"subtype": "VORBIS"}),
}
"""Suffix, channels, and what soundfile is told. The stream has one channel."""
RATE = 16_000
FILES = 6
WINDOWS, WINDOW_SECONDS = 16, 0.03


def write_sounds(folder: Path, form: str, seconds: int) -> list[Path]:
    """Writes files of noise that swells and fades, and a table of their words."""
    suffix, channels, options = FORMATS[form]
    lines = []
    for number in range(FILES):
        drawn = np.random.default_rng(number)
        swell = 0.5 + 0.5 * np.sin(np.arange(seconds * RATE) / 3000)
        sound = (
            0.1 * swell * np.convolve(drawn.standard_normal(seconds * RATE), np.ones(8) / 8, "same")
        )
        sound = np.stack([sound, -0.5 * sound], axis=1)[:, :channels]
        soundfile.write(folder / f"{number}.{suffix}", sound, RATE, **options)
        lines.append(json.dumps({"audio": f"{number}.{suffix}", "text": f"noise {number}"}) + "\n")
    (folder / "metadata.jsonl").write_text("".join(lines))
    return sorted(folder.glob(f"*.{suffix}"))


def recipe_of(folder: Path, seconds: int) -> Recipe:
    """Returns a recipe whose rows hold one sound each, with its words."""
    return parse_recipe(
        {
            "name": "sound",
            "streams": {"sound": {"kind": "mel", "rate": RATE, "seconds": float(seconds)}},
            "tokenizer": {"vocabulary_tokens": 280},
            "stream": {
                "sequence_length": 40 * seconds + 32,
                "batch_size": 4,
                "sources": {"sounds": {"kind": "audio_text", "path": str(folder)}},
            },
        }
    )


def rates(works: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Returns the median rate at which each of them, which return seconds of sound, gives them.

    They take short turns, so that what else the machine does falls on all alike, and time is that
    of this process alone.
    """
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(WINDOWS):
        for name, work in works.items():
            begin, sound = time.process_time(), 0.0
            while time.process_time() - begin < WINDOW_SECONDS:
                sound += work()
            found[name].append(sound / (time.process_time() - begin))
    return {name: median(own) for name, own in found.items()}


def beside(recipe: Recipe, files: list[Path], seconds: int) -> dict[str, float]:
    """Returns the rates of libsndfile's own package, of this library's reader, and of the stream.

    What the stream's thread would read ahead is read in turn, so that the time is that of its own
    batches.
    """
    material = open_material(recipe)
    stream = build_stream(recipe, material.train, build_inputs(recipe, material.train), recipe.seed)

    def library() -> float:
        return sum(len(soundfile.read(file, dtype="float32")[0]) / RATE for file in files)

    def reader() -> float:
        return sum(decoded(file, RATE).shape[1] / RATE for file in files)

    def streamed() -> float:
        return len(next(stream).slots["sound"].items) * float(seconds)

    try:
        for _ in range(4):
            streamed()
        return rates({"library": library, "reader": reader, "stream": streamed})
    finally:
        stream.close()


def encoding(recipe: Recipe, seconds: int) -> dict[str, float]:
    """Returns the time that the tokenizer takes for one second of sound."""
    encoder = recipe.streams["sound"].open().encoder
    items = torch.randn(8, 1, seconds * RATE)
    times = []
    for _ in range(WINDOWS):
        begin = time.process_time()
        encoder.encode(items)
        times.append((time.process_time() - begin) / (8 * seconds))
    return {"milliseconds_of_encoding_per_second": round(1000 * median(times), 3)}


def main() -> None:
    seconds = int(dict(word.split("=") for word in sys.argv[1:]).get("seconds", "10"))
    torch.set_num_threads(1)
    chiasm.data.stream.PREFETCHED_BATCHES = 0
    figures: dict[str, object] = {}
    for form in FORMATS:
        with tempfile.TemporaryDirectory() as made:
            files = write_sounds(Path(made), form, seconds)
            recipe = recipe_of(Path(made), seconds)
            found = beside(recipe, files, seconds)
        figures[form] = {name: round(rate) for name, rate in found.items()} | {
            "stream_over_reader": round(found["stream"] / found["reader"], 3),
            "stream_over_library": round(found["stream"] / found["library"], 3),
        }
    figures |= encoding(recipe, seconds)
    write_record("sound", figures)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
