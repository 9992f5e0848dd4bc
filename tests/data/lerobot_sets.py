"""LeRobot sets as others write them, made here with pyarrow and PyAV, to be read frame by frame.

Every picture is of one colour that says its episode (red) and its number (green), and every action
begins with 0.01 times that number: what is read shows where it was taken from.
"""

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image as PillowImage

from chiasm.actions import ActionFormat
from chiasm.controls import ControlSettings
from chiasm.data.episode_source import EpisodeSource
from chiasm.data.robots import LeRobotSettings
from chiasm.data.source import Opened, Opening
from chiasm.data.sources import open_sources
from chiasm.documents import Image

FRONT, WRIST = "observation.images.front", "observation.images.wrist"
ACTIONS = ActionFormat(
    controls={"pan": ControlSettings(), "grip": ControlSettings(range=(0, 1), unit="closed")}
)
RATE = 10


@dataclass
class Made:
    """How a set is made."""

    lengths: Sequence[int] = (7, 9, 6, 8, 5, 10)
    version: str = "v3.0"
    codec: str = "libx264rgb"
    pixels: str = "rgb24"
    new_video: Mapping[str, Sequence[int]] = field(default_factory=lambda: {FRONT: (3,)})
    """Episodes at which a camera's next file begins."""
    new_data: Sequence[int] = (2,)
    """Episodes at which the next file of rows begins."""
    as_pictures: bool = False
    names: Any = field(default_factory=lambda: {"motors": ["pan", "lift", "grip"]})
    tasks: Sequence[Any] = ("pick it up", "put it down")
    task_index: Any = np.int64
    shorter: Mapping[int, int] = field(default_factory=dict)
    """Frames that an episode's video lacks at its end."""
    change: Callable[[int, dict[str, Any]], None] = lambda number, columns: None
    """Changes the columns of an episode."""
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(self.new_video)


def colour(episode: int, number: int, camera: str = FRONT) -> np.ndarray:
    blue = 200 if camera == WRIST else 0
    return np.full((16, 24, 3), (30 * episode + 10, 20 * number + 10, blue), np.uint8)


def seen(picture: Image) -> tuple[int, int]:
    """(episode, number) of a picture."""
    red, green, _ = picture.pixels().reshape(-1, 3).mean(0).tolist()
    return round((red - 10) / 30), round((green - 10) / 20)


def mp4(path: Path, frames: Iterable[np.ndarray], made: Made) -> None:
    """In a thread that ends: SVT-AV1 gives the one that opens it real-time priority, if it is
    root's, and leaves it so; a browser that inherits this keeps everything else from the cores."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(encode, path, frames, made).result()


def encode(path: Path, frames: Iterable[np.ndarray], made: Made) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(made.codec, rate=RATE, options={"g": "2", "qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 24, 16, made.pixels
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def make(root: Path, made: Made) -> Path:
    (root / "meta").mkdir(parents=True)
    episodes = [rows_of(number, length, made) for number, length in enumerate(made.lengths)]
    places = [write_rows(root, episodes, made), *(videos(root, c, made) for c in made.cameras)]
    old = made.version.startswith("v2")
    about = []
    for number, length in enumerate(made.lengths):
        row = {"episode_index": number, "length": length, "tasks": [made.tasks[number % 2]]}
        about.append(row if old else row | {k: v for own in places for k, v in own[number].items()})
    if old:
        lines = "".join(json.dumps(row, default=str) + "\n" for row in about)
        (root / "meta/episodes.jsonl").write_text(lines)
        lines = (json.dumps({"task_index": n, "task": t}) + "\n" for n, t in enumerate(made.tasks))
        (root / "meta/tasks.jsonl").write_text("".join(lines))
    else:
        folder = root / "meta/episodes/chunk-000"
        folder.mkdir(parents=True)
        for row in about:
            row["tasks"] = [str(text) for text in row["tasks"]]
        pq.write_table(pa.Table.from_pylist(about[:4]), folder / "file-000.parquet")
        pq.write_table(pa.Table.from_pylist(about[4:]), folder / "file-001.parquet")
        index = pa.array(np.arange(len(made.tasks)).astype(made.task_index))
        texts = {"task_index": index, "__index_level_0__": list(made.tasks)}
        pq.write_table(pa.table(texts), root / "meta/tasks.parquet")
    (root / "meta/info.json").write_text(json.dumps(info(made)))
    return root


def info(made: Made) -> dict[str, Any]:
    old = made.version.startswith("v2")
    own = "chunk-{chunk_index:03d}/file-{file_index:03d}"
    chunk = "chunk-{episode_chunk:03d}"
    kind = "image" if made.as_pictures else "video"
    return {
        "codebase_version": made.version,
        "fps": RATE,
        "chunks_size": 1000,
        "splits": {"train": f"0:{len(made.lengths)}"},
        "data_path": f"data/{chunk}/episode_{{episode_index:06d}}.parquet"
        if old
        else f"data/{own}.parquet",
        "video_path": f"videos/{chunk}/{{video_key}}/episode_{{episode_index:06d}}.mp4"
        if old
        else f"videos/{{video_key}}/{own}.mp4",
        "features": {
            "action": {"dtype": "float32", "shape": [3], "names": made.names},
            **{camera: {"dtype": kind, "shape": [16, 24, 3]} for camera in made.cameras},
            "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        },
        **made.info,
    }


def rows_of(number: int, length: int, made: Made) -> dict[str, Any]:
    count = np.arange(length)
    action = np.stack([count / 100, np.full(length, number), (count % 2) * 0.5], 1)
    columns: dict[str, Any] = {
        "action": action.astype(np.float32).tolist(),
        "timestamp": (count / RATE).astype(np.float32),
        "frame_index": count,
        "episode_index": np.full(length, number),
        "task_index": np.full(length, number % 2).astype(made.task_index),
    }
    for camera in made.cameras if made.as_pictures else ():
        columns[camera] = [png(colour(number, k, camera)) for k in range(length)]
    made.change(number, columns)
    return columns


def png(pixels: np.ndarray) -> dict[str, Any]:
    file = io.BytesIO()
    PillowImage.fromarray(pixels).save(file, "png")
    return {"bytes": file.getvalue(), "path": None}


def write_rows(root: Path, episodes: Sequence[Any], made: Made) -> list[dict[str, Any]]:
    old = made.version.startswith("v2")
    files: list[list[Any]] = []
    places = []
    for number, columns in enumerate(episodes):
        if old or number in made.new_data or not files:
            files.append([])
        files[-1].append(pa.table(columns))
        places.append({"data/chunk_index": 0, "data/file_index": len(files) - 1})
    for number, tables in enumerate(files):
        name = f"episode_{number:06d}" if old else f"file-{number:03d}"
        path = root / f"data/chunk-000/{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.concat_tables(tables), path)
    return places


def videos(root: Path, camera: str, made: Made) -> list[dict[str, Any]]:
    old = made.version.startswith("v2")
    files: list[list[np.ndarray]] = []
    places = []
    for number, length in enumerate(made.lengths):
        if old or number in made.new_video[camera] or not files:
            files.append([])
        own = [colour(number, k, camera) for k in range(length - made.shorter.get(number, 0))]
        begin, end = len(files[-1]) / RATE, (len(files[-1]) + len(own)) / RATE
        files[-1] += own
        place = {"chunk_index": 0, "file_index": len(files) - 1}
        place |= {"from_timestamp": begin, "to_timestamp": end}
        places.append({f"videos/{camera}/{name}": value for name, value in place.items()})
    for number, frames in enumerate([] if made.as_pictures else files):
        name = f"{camera}/chunk-000/file-{number:03d}"
        name = f"chunk-000/{camera}/episode_{number:06d}" if old else name
        mp4(root / f"videos/{name}.mp4", frames, made)
    return places


def opened(root: Path, task: str = "action_video", **own: Any) -> Opened:
    settings = LeRobotSettings.model_validate({"path": str(root), "task": task} | own)
    return open_sources({"arm": settings}, Opening(actions=ACTIONS))["arm"]


def sides(found: Opened) -> tuple[EpisodeSource, EpisodeSource]:
    assert isinstance(found.train, EpisodeSource)
    assert isinstance(found.held_out, EpisodeSource)
    return found.train, found.held_out


def walked(found: Opened) -> dict[int, list[tuple[int, str]]]:
    """By episode, the number of each frame and the action to the next one, of all walks."""
    walks: dict[int, list[tuple[int, str]]] = {}
    for source in sides(found):
        for walk in source.walks:
            for place, frame in enumerate(walk):
                episode, number = seen(source.picture(frame))
                last = place == len(walk) - 1
                action = "" if last else source.action(frame, walk[place + 1])
                walks.setdefault(episode, []).append((number, action))
    return walks


def expected(lengths: Sequence[int]) -> dict[int, list[tuple[int, str]]]:
    return {
        episode: [
            (k, f"action: pan={k / 100:+.2f} grip={k % 2 * 0.5:.2f}" if k < length - 1 else "")
            for k in range(length)
        ]
        for episode, length in enumerate(lengths)
    }


BOTH = {FRONT: (3,), WRIST: (1, 4)}
"""Files of two cameras begin at different episodes."""
