"""Frames of video files per second of processor time: the stream's, beside bare PyAV's.

The stream reads clips in its own order, puts them into packed rows and gives every frame at its
size; what is counted is the first epoch, in which no frame is in memory. Beside it the same files
in order with no more than PyAV on one thread: decoded, and nothing done with the frames; and
decoded, with the frames that clips have converted and resized in one pass of swscale (whose filter
is not that of this library's rule). Clips of every frame of a file, and of 4 frames per second.
Beside them clips in fully random order, which decode what lies before each, and the memory that a
process gains by reading clips all over a long file.

    python benchmarks/video.py
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

import av
import numpy as np
import torch
from av.video.reformatter import Interpolation, VideoReformatter
from record import write_record

from chiasm.assembly import build_inputs, build_stream, open_material
from chiasm.documents import Source
from chiasm.recipe import Recipe, parse_recipe
from chiasm.video import frame, reader

RATE, CLIP, REPEATS = 30, 8, 2
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


def streamed(recipe: Recipe) -> tuple[float, int]:
    """Reads an epoch of the stream but for its last rows, of files that nobody has read before.

    Returns frames per second, and how many were decoded for that.
    """
    material = open_material(recipe)
    stream = build_stream(recipe, material.train, build_inputs(recipe, material.train), recipe.seed)
    wanted, frames = 0.95 * CLIP * len(material.train["films"]), 0
    frame._forget()
    with counted() as decoded:
        begin = time.process_time()
        while frames < wanted:
            frames += len(next(stream).slots["image"].items)
        seconds = time.process_time() - begin
    stream.close()
    return frames / seconds, len(decoded)


@contextmanager
def counted() -> Iterator[list[int]]:
    """Within, the list gets an entry for each frame that is decoded."""
    plain, decoded = reader.VideoReader._stamp, []

    def stamp(own: reader.VideoReader, shown: av.VideoFrame) -> Fraction | None:
        decoded.append(1)
        return plain(own, shown)

    reader.VideoReader._stamp = stamp  # type: ignore[method-assign]
    try:
        yield decoded
    finally:
        reader.VideoReader._stamp = plain  # type: ignore[method-assign]


def at_random(source: Source, pixels: int) -> float:
    """Frames per second of clips in random order, each decoded for itself."""
    begin, frames = time.process_time(), 0
    for number in np.random.default_rng(0).permutation(len(source)).tolist():
        frame._forget()
        for image in source[number].images:
            frames += len(image.data.fitted(pixels, pixels)) > 0
    return frames / (time.process_time() - begin)


def bare(source: Source, pixels: int) -> float:
    """Frames per second of PyAV alone, in the order of the files; 0 ``pixels``: decoded alone."""
    wanted: dict[Path, set[int]] = {}
    for number in range(len(source)):
        for image in source[number].images:
            wanted.setdefault(image.data.path, set()).add(round(image.data.time * RATE))
    converter = VideoReformatter()
    how = {"format": "rgb24", "interpolation": Interpolation.BICUBIC, "threads": 1}
    begin = time.process_time()
    for path, numbers in wanted.items():
        with av.open(str(path)) as container:
            for number, own in enumerate(container.decode(_one_thread(container))):
                if number in numbers and pixels:
                    converter.reformat(own, width=pixels, height=pixels, **how).to_ndarray()
    return sum(map(len, wanted.values())) / (time.process_time() - begin)


def _one_thread(container: av.container.InputContainer) -> av.VideoStream:
    stream = container.streams.video[0]
    stream.codec_context.thread_count, stream.thread_type = 1, "NONE"
    return stream


def best(run: Callable[[], float]) -> float:
    """Returns the highest rate of several: other programs use the machine too."""
    return max(run() for _ in range(REPEATS))


def compared(folder: Path, pixels: int, **settings: object) -> dict[str, float]:
    """Frames per second of one source in all ways."""
    recipe = recipe_of(folder, pixels, **settings)
    source = open_material(recipe).train["films"]
    own, decoded = max(streamed(recipe) for _ in range(REPEATS))
    decoding, product = best(lambda: bare(source, 0)), best(lambda: bare(source, pixels))
    return {
        "stream": round(own),
        "bare_decoding": round(decoding),
        "bare_decoding_and_resizing": round(product),
        "share_of_bare_decoding": round(own / decoding, 2),
        "share_of_bare_decoding_and_resizing": round(own / product, 2),
        "clips_at_random": round(at_random(source, pixels)),
        "decoded_for_each_frame_of_the_files": round(decoded / ((FILES - 1) * SECONDS * RATE), 3),
    }


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


def figures() -> dict[str, object]:
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
                    found[case] = compared(folder, side, **settings)
                    print(case, found[case], flush=True)
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
    found = figures()
    write_record("video", found)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
