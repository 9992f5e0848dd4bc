"""Files as they should be, made once: pictures, videos, sounds, tables and tars."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from PIL import Image as PillowImage

Rows = Sequence[Mapping[str, Any]]

PICTURES = ("png", "jpeg", "webp", "gif", "bmp", "tiff", "ppm")
VIDEOS = {
    "mp4": ("libx264", {}),
    "mov": ("mpeg4", {"movflags": "faststart"}),
    "m4v": ("libx264", {"movflags": "frag_keyframe+empty_moov"}),
    "mkv": ("libx264", {}),
    "webm": ("libvpx", {}),
    "avi": ("mpeg4", {}),
    "ts": ("libx264", {}),
    "mpg": ("mpeg2video", {}),
}
"""By suffix: codec, and options of the container."""
SOUNDS = {
    "wav": {"format": "WAV"},
    "wide.wav": {"format": "WAV", "subtype": "PCM_24"},
    "float.wav": {"format": "WAV", "subtype": "FLOAT"},
    "flac": {"format": "FLAC"},
    "mp3": {"format": "MP3"},
    "ogg": {"format": "OGG"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "aiff": {"format": "AIFF"},
}
"""By the end of a name: what soundfile is told."""
TRACKS = {"m4a": ("ipod", "aac"), "mka": ("matroska", "libopus"), "aac": ("adts", "aac")}
"""By suffix: container and codec of sounds that FFmpeg writes."""


@cache
def picture(form: str = "png", seed: int = 0, size: tuple[int, int] = (12, 8)) -> bytes:
    """A small picture of noise, of 8 bits; ``size`` is its width and height."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    file = io.BytesIO()
    exif = PillowImage.Exif()
    exif[274] = 6  # turned
    own = {"exif": exif} if form in ("jpeg", "webp") else {}
    PillowImage.fromarray(pixels).save(file, form, **own)
    return file.getvalue()


@cache
def video(suffix: str = "mp4", frames: int = 12, seed: int = 0) -> bytes:
    """A small video of noise, 10 frames a second."""
    codec, options = VIDEOS[suffix]
    form = {"m4v": "mp4", "mkv": "matroska", "ts": "mpegts", "mpg": "mpeg"}.get(suffix, suffix)
    rate = 25 if suffix == "mpg" else 10
    drawn = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"video.{suffix}"
        with av.open(str(path), "w", format=form, options=options) as container:
            stream = container.add_stream(codec, rate=rate)
            stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
            for number in range(frames):
                pixels = drawn.integers(0, 256, (16, 32, 3), dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, rate)
                container.mux(stream.encode(frame.reformat(format="yuv420p")))
            container.mux(stream.encode(None))
        return path.read_bytes()


@cache
def sound(end: str = "wav", samples: int = 1600, rate: int = 8000, channels: int = 1) -> bytes:
    """A short sound of noise, in the format that its name ends in."""
    noise = np.random.default_rng(samples).normal(0, 0.1, (samples, channels)).astype(np.float32)
    file = io.BytesIO()
    if end in SOUNDS:
        soundfile.write(file, noise, rate, **SOUNDS[end])
        return file.getvalue()
    container, codec = TRACKS[end]
    frame = av.AudioFrame.from_ndarray(noise[:, 0][None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    with av.open(file, "w", format=container) as opened:
        stream = opened.add_stream(codec, rate=rate)
        stream.layout = "mono"
        for part in (frame, None):
            opened.mux(stream.encode(part))
    return file.getvalue()


def json_lines(rows: Rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def json_list(rows: Rows) -> bytes:
    return json.dumps(list(rows)).encode()


def _delimited(mark: str) -> Callable[[Rows], bytes]:
    def written(rows: Rows) -> bytes:
        file = io.StringIO(newline="")
        names = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(file, names, delimiter=mark)
        writer.writeheader()
        writer.writerows(rows)
        return file.getvalue().encode("utf-8", "surrogatepass")

    return written


def parquet(rows: Rows | pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows)), file)
    return file.getvalue()


def arrow(rows: Rows) -> bytes:
    table, file = pa.Table.from_pylist(list(rows)), io.BytesIO()
    with pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    return file.getvalue()


TABLES: dict[str, Callable[[Rows], bytes]] = {
    "jsonl": json_lines,
    "json": json_list,
    "csv": _delimited(","),
    "tsv": _delimited("\t"),
    "parquet": parquet,
    "arrow": arrow,
}
"""Writers of tables by suffix."""


def tar(members: Sequence[tuple[str | tarfile.TarInfo, bytes]]) -> bytes:
    """A tar of files; a member that is more than a name and bytes is given with its header."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name) if isinstance(name, str) else name
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def members_of(archive: bytes) -> list[tuple[str | tarfile.TarInfo, bytes]]:
    """What a whole tar holds."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        files = [(entry.name, opened.extractfile(entry)) for entry in opened if entry.isfile()]
        return [(name, file.read()) for name, file in files if file is not None]
