"""Frames of video files per second of processor time, beside bare PyAV over the same files.

Here: clips in random order, each with its seek, by ``Image.pixels``. Bare, the same clips: the file
is opened, sought, decoded up to the clip's last frame, and the frames that are wanted are converted
to RGB. Bare, whole files: decoded once from the first frame to the last, which no random order can
reach, since decoding begins at the key frame before a clip. Both at every frame of the file and
at 4 per second. Beside them the memory that a process gains by reading clips all over a long file.

    python benchmarks/video.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import numpy as np
from record import write_record

from chiasm.data.source import Opening
from chiasm.data.sources import open_sources
from chiasm.data.video_files import VideoSettings
from chiasm.documents import Source
from chiasm.video import frame

RATE, CLIP, REPEATS = 30, 8, 3
FILES, SECONDS, LONG_SECONDS = 4, 8, 300
SIZES = {"360p": (640, 360), "720p": (1280, 720)}
RATES = {"every frame": {"frame_stride": 1}, "4 per second": {"frames_per_second": 4.0}}


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


def opened(folder: Path, **settings: object) -> Source:
    """The clips of a folder but for its last file, which is held out."""
    last = max(folder.iterdir())
    given = {"path": str(folder), "held_out_path": str(last), "frames": CLIP, **settings}
    own = VideoSettings.model_validate(given)
    return open_sources({"films": own}, Opening())["films"].train


def as_clips(source: Source, seed: int) -> int:
    """Decodes all clips of a source in random order; returns the number of frames."""
    frame._forget()  # what an earlier call has decoded
    frames = 0
    for number in np.random.default_rng(seed).permutation(len(source)).tolist():
        for image in source[number].images:
            frames += len(image.pixels()) > 0
    return frames


def bare_clips(source: Source, seed: int) -> int:
    """Does what :func:`as_clips` does, with no more than PyAV."""
    frames = 0
    for number in np.random.default_rng(seed).permutation(len(source)).tolist():
        wanted = [image.data for image in source[number].images]
        numbers = {round(each.time * RATE) for each in wanted}
        with av.open(str(wanted[0].path)) as container:
            stream = _one_thread(container)
            container.seek(int(wanted[0].time / stream.time_base), stream=stream)
            for own in container.decode(stream):
                shown = round(own.time * RATE)
                if shown in numbers:
                    frames += len(own.to_ndarray(format="rgb24")) > 0
                if shown >= max(numbers):
                    break
    return frames


def bare_files(source: Source) -> int:
    """Decodes the files of a source from begin to end, and converts the frames of its clips."""
    wanted: dict[Path, set[int]] = {}
    for number in range(len(source)):
        for image in source[number].images:
            wanted.setdefault(image.data.path, set()).add(round(image.data.time * RATE))
    frames = 0
    for path, numbers in wanted.items():
        with av.open(str(path)) as container:
            for number, own in enumerate(container.decode(_one_thread(container))):
                if number in numbers:
                    frames += len(own.to_ndarray(format="rgb24")) > 0
    return frames


def _one_thread(container: av.container.InputContainer) -> av.VideoStream:
    stream = container.streams.video[0]
    stream.codec_context.thread_count, stream.thread_type = 1, "NONE"
    return stream


def frames_per_second(run: Callable[[], int]) -> float:
    rates = []
    for _ in range(REPEATS):
        begin = time.process_time()
        frames = run()
        rates.append(frames / (time.process_time() - begin))
    return median(rates)


def compared(source: Source) -> dict[str, float]:
    """Frames per second of one source in the three ways."""
    own = frames_per_second(lambda: as_clips(source, 0))
    clips = frames_per_second(lambda: bare_clips(source, 0))
    files = frames_per_second(lambda: bare_files(source))
    return {
        "clips": round(own),
        "bare_same_clips": round(clips),
        "bare_whole_files": round(files),
        "share_of_bare_same_clips": round(own / clips, 2),
        "share_of_bare_whole_files": round(own / files, 2),
    }


def gained_megabytes(folder: Path) -> float:
    """Peak memory that a process gains while it reads clips all over a long file."""
    command = [sys.executable, __file__, "--memory", str(folder)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(told.split()[-1])


def _read_all_over(folder: Path) -> None:
    source = opened(folder, clips_per_file=64)
    next(iter(source[0].images)).pixels()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = _kilobytes("VmRSS")
    as_clips(source, 0)
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
                source = opened(folder, **settings)
                found[f"{size}, {rate}"] = compared(source)
        folder = Path(name) / "long"
        folder.mkdir()
        for number, seconds in enumerate((LONG_SECONDS, 8)):
            write_film(folder / f"{number}.mp4", SIZES["360p"], seconds, number)
        found["long_file_gained_megabytes"] = round(gained_megabytes(folder), 1)
    return found


def main() -> None:
    if sys.argv[1:2] == ["--memory"]:
        return _read_all_over(Path(sys.argv[2]))
    found = figures()
    write_record("video", found)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
