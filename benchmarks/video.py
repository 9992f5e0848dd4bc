"""Frames of video files per second: the stream's, beside bare PyAV's on the same files.

The stream reads clips in its own order, puts them into packed rows and gives every frame at its
size; what is counted is the first epoch, in which no frame is in memory, and nothing is read ahead.
Beside it bare PyAV, which takes the frames that the clips have, by their stamps, in the order of
the files, on one thread as the stream:

- ``decoding``: it decodes, and nothing is done with the frames;
- ``swscale``: it also converts and resizes, in one pass of swscale: whole frames, distorted, by
  another filter than that of this library's rule;
- ``pillow``: it also converts, and Pillow crops and resizes: the pixels that the stream gives.

All four take turns. Rates are medians by processor time, those by the clock stand beside them, and
a share is the median of the rounds' own. Clips of every frame of a file, and of 4 frames a second.
Beside them clips in fully random order, which decode what lies before each, and the memory that a
process gains by reading clips all over a long file.

    python benchmarks/video.py [360p ...]     (cases whose names begin so; without, all)
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import NamedTuple

import av
import numpy as np
import torch
from av.video.reformatter import Interpolation, VideoReformatter
from PIL import Image as PillowImage
from record import write_record

import chiasm.data.stream
from chiasm.assembly import build_inputs, build_stream, open_material
from chiasm.documents import Source
from chiasm.recipe import Recipe, parse_recipe
from chiasm.video import frame, reader

RATE, CLIP, ROUNDS = 30, 8, 5
FILES, SECONDS, LONG_SECONDS = 4, 16, 300
SIZES = {"360p": (640, 360), "720p": (1280, 720)}
RATES = {"every frame": {"frame_stride": 1}, "4 per second": {"frames_per_second": 4.0}}
PIXELS = (32, 224)
"""Sides of the stream's pictures."""


def write_film(path: Path, size: tuple[int, int], seconds: int, seed: int) -> None:
    """H.264 with B-frames and a key frame every 4 seconds: a texture that drifts."""
    random = np.random.default_rng(seed)
    width, height = size
    texture = random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    texture = texture.repeat(8, 0).repeat(8, 1)
    options = {"preset": "veryfast", "g": str(4 * RATE), "bf": "2"}
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(seconds * RATE):
            pixels = np.roll(texture, (number % height, 2 * number % width), (0, 1))
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))


def recipe_of(folder: Path, pixels: int, **settings: object) -> Recipe:
    """Returns a recipe of the clips of a folder but for its last file, which is held out."""
    source = {"kind": "video", "path": str(folder), "held_out_path": str(max(folder.iterdir()))}
    patch = pixels // 4
    return parse_recipe(
        {
            "name": "video",
            "streams": {"image": {"kind": "pixels", "image_pixels": pixels, "patch_pixels": patch}},
            "tokenizer": {"vocabulary_tokens": 280},
            "stream": {"sources": {"films": {**source, "frames": CLIP, **settings}}},
        }
    )


class Took(NamedTuple):
    """Frames per second of processor time and by the clock, and frames that were decoded."""

    rate: float
    clock_rate: float
    decoded: int


def timed(read: Callable[[], int]) -> Took:
    """Rates of something that returns how many frames it gave."""
    with counted() as decoded:
        clock, processor = time.perf_counter(), time.process_time()
        frames = read()
        processor, clock = time.process_time() - processor, time.perf_counter() - clock
    return Took(frames / processor, frames / clock, len(decoded))


def streamed(recipe: Recipe) -> Took:
    """Reads an epoch of the stream but for its last rows, of files that nobody has read before."""
    material = open_material(recipe)
    stream = build_stream(recipe, material.train, build_inputs(recipe, material.train), recipe.seed)
    wanted = 0.95 * CLIP * len(material.train["films"])
    frame._forget()

    def read() -> int:
        frames = 0
        while frames < wanted:
            frames += len(next(stream).slots["image"].items)
        return frames

    try:
        return timed(read)
    finally:
        stream.close()


@contextmanager
def counted() -> Iterator[list[int]]:
    """Within, the list gets an entry for each frame that is decoded."""
    plain, decoded = reader.VideoReader._stamp, []

    def stamp(own: reader.VideoReader, shown: av.VideoFrame) -> int | None:
        decoded.append(1)
        return plain(own, shown)

    reader.VideoReader._stamp = stamp  # type: ignore[method-assign]
    try:
        yield decoded
    finally:
        reader.VideoReader._stamp = plain  # type: ignore[method-assign]


def at_random(source: Source, pixels: int) -> int:
    """Reads clips in random order, each decoded for itself."""
    frames = 0
    for number in np.random.default_rng(0).permutation(len(source)).tolist():
        frame._forget()
        for image in source[number].images:
            frames += len(image.data.fitted(pixels, pixels)) > 0
    return frames


Wanted = dict[Path, set[Fraction]]
"""Times of frames in seconds, by their file."""


def wanted_of(source: Source) -> Wanted:
    wanted: Wanted = {}
    for number in range(len(source)):
        for image in source[number].images:
            wanted.setdefault(image.data.path, set()).add(image.data.time)
    return wanted


def bare(wanted: Wanted, use: Callable[[av.VideoFrame], object]) -> int:
    """Decodes files in order, and uses the frames that are wanted."""
    for path, times in wanted.items():
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count, stream.thread_type = 1, "NONE"
            stamps = {round(time / stream.time_base) for time in times}
            for own in container.decode(stream):
                if own.pts in stamps:
                    use(own)
    return sum(map(len, wanted.values()))


def by_swscale(pixels: int) -> Callable[[av.VideoFrame], object]:
    converter, how = VideoReformatter(), {"format": "rgb24", "threads": 1}

    def use(own: av.VideoFrame) -> np.ndarray:
        small = converter.reformat(
            own, width=pixels, height=pixels, interpolation=Interpolation.BICUBIC, **how
        )
        return small.to_ndarray()

    return use


def by_pillow(pixels: int) -> Callable[[av.VideoFrame], object]:
    converter = VideoReformatter()

    def use(own: av.VideoFrame) -> np.ndarray:
        whole = converter.reformat(own, format="rgb24", threads=1).to_ndarray()
        margin = (own.width - own.height) / 2
        box = (margin, 0, own.width - margin, own.height)
        bicubic = PillowImage.Resampling.BICUBIC
        return np.asarray(PillowImage.fromarray(whole).resize((pixels, pixels), bicubic, box))

    return use


def compared(folder: Path, pixels: int, **settings: object) -> dict[str, float]:
    """Frames per second of one source in all ways."""
    recipe = recipe_of(folder, pixels, **settings)
    source = open_material(recipe).train["films"]
    wanted = wanted_of(source)
    ways: dict[str, Callable[[], Took]] = {
        "stream": lambda: streamed(recipe),
        "decoding": lambda: timed(lambda: bare(wanted, lambda own: None)),
        "swscale": lambda: timed(lambda: bare(wanted, by_swscale(pixels))),
        "pillow": lambda: timed(lambda: bare(wanted, by_pillow(pixels))),
    }
    rounds = [{name: way() for name, way in ways.items()} for _ in range(ROUNDS)]
    found: dict[str, float] = {}
    for name in ways:
        found[name] = round(median(each[name].rate for each in rounds))
        found[f"{name}_by_the_clock"] = round(median(each[name].clock_rate for each in rounds))
    for name in ("decoding", "swscale", "pillow"):
        share = median(each["stream"].rate / each[name].rate for each in rounds)
        found[f"share_of_{name}"] = round(share, 2)
    decoded = rounds[0]["stream"].decoded / ((FILES - 1) * SECONDS * RATE)
    found["decoded_for_each_frame_of_the_files"] = round(decoded, 3)
    found["clips_at_random"] = round(timed(lambda: at_random(source, pixels)).rate)
    return found


def gained_megabytes(folder: Path) -> float:
    """Peak memory that a process gains while it reads clips all over a long file."""
    command = [sys.executable, __file__, "--memory", str(folder)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(told.split()[-1])


def _read_all_over(folder: Path) -> None:
    source = open_material(recipe_of(folder, 32, clips_per_file=64)).train["films"]
    next(iter(source[0].images)).pixels()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = _kilobytes("VmRSS")
    for number in np.random.default_rng(0).permutation(len(source)).tolist():
        for image in source[number].images:
            image.data.fitted(32, 32)
    print((_kilobytes("VmHWM") - before) / 1024)


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def figures(beginnings: tuple[str, ...]) -> dict[str, object]:
    """All figures, by size and rate."""
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        for size, pixels in SIZES.items():
            folder = Path(name) / size
            folder.mkdir()
            for number in range(FILES):
                write_film(folder / f"{number}.mp4", pixels, SECONDS, number)
            for rate, settings in RATES.items():
                for side in PIXELS:
                    case = f"{size}, {rate}, to {side} pixels"
                    if case.startswith(beginnings):
                        found[case] = compared(folder, side, **settings)
                        print(case, found[case], flush=True)
        if "long".startswith(beginnings):
            folder = Path(name) / "long"
            folder.mkdir()
            for number, seconds in enumerate((LONG_SECONDS, 8)):
                write_film(folder / f"{number}.mp4", SIZES["360p"], seconds, number)
            found["long_file_gained_megabytes"] = round(gained_megabytes(folder), 1)
    return found


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["--memory"]:
        return _read_all_over(Path(sys.argv[2]))
    chiasm.data.stream.PREFETCHED_BATCHES = 0
    beginnings = tuple(sys.argv[1:])
    found = figures(beginnings or ("",))
    if not beginnings:
        write_record("video", found)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
