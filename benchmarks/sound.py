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
FILES = 12
WINDOWS, WINDOW_SECONDS = 3, 0.3


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


def seconds_a_second(read: Callable[[], float]) -> float:
    """Returns the median rate at which ``read``, which returns seconds of sound, gives them.

    Time is that of this process's CPU, so that what else runs on the machine does not count.
    """
    rates = []
    for _ in range(WINDOWS):
        begin, sound = time.process_time(), 0.0
        while time.process_time() - begin < WINDOW_SECONDS:
            sound += read()
        rates.append(sound / (time.process_time() - begin))
    return median(rates)


def of_library(folder: Path, suffix: str) -> Callable[[], float]:
    """Returns what decodes every file by libsndfile's own Python package."""
    return lambda: sum(
        len(soundfile.read(folder / f"{n}.{suffix}", dtype="float32")[0]) / RATE
        for n in range(FILES)
    )


def bare(folder: Path, suffix: str) -> Callable[[], float]:
    """Returns what decodes every file by this library's reader."""
    return lambda: sum(
        decoded(folder / f"{n}.{suffix}", RATE).shape[1] / RATE for n in range(FILES)
    )


def streamed(recipe: Recipe, seconds: int) -> float:
    """Returns seconds of sound per second of the stream, one of whose threads reads ahead."""
    material = open_material(recipe)
    stream = build_stream(recipe, material.train, build_inputs(recipe, material.train), recipe.seed)
    try:
        for _ in range(8):  # until no batch is waiting that was read before
            next(stream)
        return seconds_a_second(lambda: len(next(stream).slots["sound"].items) * seconds)
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
    figures: dict[str, object] = {}
    for suffix in FORMATS:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            write_sounds(folder, suffix, seconds)
            recipe = recipe_of(folder, seconds)
            library = seconds_a_second(of_library(folder, suffix))
            alone = seconds_a_second(bare(folder, suffix))
            stream = streamed(recipe, seconds)
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
