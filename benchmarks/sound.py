"""Seconds of sound per second of the data stream's one reading thread, beside a bare reader's.

For files of several formats: what libsndfile decodes on one thread, what the reader of this library
does, and what the stream makes of the same files, with words, packed rows and everything. Beside it
the time that encoding takes.

    python benchmarks/sound.py [seconds=10]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
import torch
from record import write_record

from chiasm.assembly import build_inputs, build_stream, open_material
from chiasm.recipe import Recipe, parse_recipe
from chiasm.waveform import decoded

FORMATS = {
    "wav": {"subtype": "PCM_16"},
    "flac": {},
    "mp3": {},
    "ogg": {"subtype": "VORBIS"},
}
RATE = 16_000
FILES = 24
WINDOWS = 5


def write_sounds(folder: Path, suffix: str, seconds: int) -> None:
    """Writes files of noise that swells and fades, and a table of their words."""
    lines = []
    for number in range(FILES):
        drawn = np.random.default_rng(number)
        swell = 0.5 + 0.5 * np.sin(np.arange(seconds * RATE) / 3000)
        sound = (
            0.1 * swell * np.convolve(drawn.standard_normal(seconds * RATE), np.ones(8) / 8, "same")
        )
        soundfile.write(folder / f"{number}.{suffix}", sound, RATE, **FORMATS[suffix])
        lines.append(json.dumps({"audio": f"{number}.{suffix}", "text": f"noise {number}"}) + "\n")
    (folder / "metadata.jsonl").write_text("".join(lines))


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


def bare(folder: Path, suffix: str) -> float:
    """Returns seconds of sound per second that a loop over files decodes."""
    begin = time.perf_counter()
    samples = sum(decoded(folder / f"{n}.{suffix}", RATE).shape[1] for n in range(FILES))
    return samples / RATE / (time.perf_counter() - begin)


def of_library(folder: Path, suffix: str) -> float:
    """Returns the same of libsndfile by its own Python package."""
    begin = time.perf_counter()
    samples = sum(
        len(soundfile.read(folder / f"{n}.{suffix}", dtype="float32")[0]) for n in range(FILES)
    )
    return samples / RATE / (time.perf_counter() - begin)


def streamed(recipe: Recipe, seconds: int) -> Callable[[], float]:
    """Returns what measures seconds of sound per second of the stream."""
    material = open_material(recipe)
    stream = build_stream(recipe, material.train, build_inputs(recipe, material.train), recipe.seed)
    next(stream)

    def measure() -> float:
        begin, items = time.perf_counter(), 0
        while time.perf_counter() - begin < 1.0:
            items += len(next(stream).slots["sound"])
        return items * seconds / (time.perf_counter() - begin)

    return measure


def encoding(recipe: Recipe, seconds: int) -> dict[str, float]:
    """Returns the time that the tokenizer takes for one second of sound."""
    encoder = recipe.streams["sound"].open().encoder
    items = torch.randn(8, 1, seconds * RATE)
    times = []
    for _ in range(WINDOWS):
        begin = time.perf_counter()
        encoder.encode(items)
        times.append((time.perf_counter() - begin) / (8 * seconds))
    return {"milliseconds_of_encoding_per_second": round(1000 * median(times), 3)}


def main() -> None:
    seconds = int(dict(word.split("=") for word in sys.argv[1:]).get("seconds", "10"))
    torch.set_num_threads(1)
    figures: dict[str, object] = {}
    for suffix in FORMATS:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            write_sounds(folder, suffix, seconds)
            recipe = recipe_of(folder, seconds)
            measure = streamed(recipe, seconds)
            rounds = [
                (of_library(folder, suffix), bare(folder, suffix), measure())
                for _ in range(WINDOWS)
            ]
        library, alone, stream = (median(each) for each in zip(*rounds, strict=True))
        figures[suffix] = {
            "library": round(library),
            "bare_reader": round(alone),
            "stream": round(stream),
            "stream_over_bare_reader": round(stream / alone, 3),
            "stream_over_library": round(stream / library, 3),
        }
    figures |= encoding(recipe, seconds)
    write_record("sound", figures)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
