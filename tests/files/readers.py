"""The readers, each with folders that it reads as they are, and the settings of a source."""

from __future__ import annotations

import gzip
import json
import math
import pickle
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from damage import Folder, damaged
from hypothesis import strategies as st
from valid import (
    PICTURES,
    SOUNDS,
    TABLES,
    TRACKS,
    VIDEOS,
    json_lines,
    json_list,
    parquet,
    picture,
    sound,
    tar,
    video,
)

from chiasm.data.lerobot_writer import LeRobotWriter, SetSettings

Settings = dict[str, Any]


class Case(NamedTuple):
    """Files of users, and the settings of a source that reads them."""

    files: Folder
    settings: Settings
    path: str = ""
    """Below the folder."""


ROWS = 8
WORDS = ("a barn in the snow", "two red doors", "the long way home", "rain, and then none")


def _words(number: int) -> str:
    return f"{WORDS[number % len(WORDS)]} ({number})"


def _table(suffix: str, kind: str) -> Iterator[Case]:
    """Tables of texts, of captioned pictures, and of questions, by suffix."""
    write = TABLES[suffix]
    texts = [{"text": _words(n) * 3, "speaker": f"s{n % 3}"} for n in range(ROWS)]
    yield Case({f"texts.{suffix}": write(texts)}, {"kind": "text", "document_characters": 4000})
    yield Case(
        {f"texts.{suffix}": write(texts)},
        {"kind": "text", "group_column": "speaker", "document_characters": 4000},
    )
    pictures: Folder = {f"{n}.png": picture(seed=n) for n in range(ROWS)}
    rows = [{"file_name": f"{n}.png", "text": _words(n)} for n in range(ROWS)]
    yield Case(pictures | {f"metadata.{suffix}": write(rows)}, {"kind": "image_text"})
    rows = [{**row, "question": "what?", "answer": row["text"]} for row in rows]
    yield Case(pictures | {f"asked.{suffix}": write(rows)}, {"kind": "vqa"})


def _typed(suffix: str) -> Iterator[Case]:
    yield from _table(suffix, "text")
    stored = [
        {"image": {"bytes": picture(seed=n), "path": None}, "text": [_words(n), "x"]}
        for n in range(ROWS)
    ]
    yield Case({f"train.{suffix}": TABLES[suffix](stored)}, {"kind": "image_text"})
    heard = [
        {"audio": {"bytes": sound(samples=800 + n), "path": None}, "text": _words(n)}
        for n in range(ROWS)
    ]
    yield Case({f"train.{suffix}": TABLES[suffix](heard)}, {"kind": "audio_text"})


def _plain() -> Iterator[Case]:
    texts: Folder = {
        f"{n}.txt": ("\n\n".join(map(_words, range(9))) + str(n)).encode() for n in range(4)
    }
    yield Case(texts, {"kind": "text", "document_characters": 4000})


def _zipped() -> Iterator[Case]:
    for suffix in ("jsonl", "json", "csv", "tsv"):
        for case in _table(suffix, "text"):
            files = {
                f"{name}.gz" if name.endswith(suffix) else name: gzip.compress(content)
                if name.endswith(suffix)
                else content
                for name, content in case.files.items()
                if isinstance(content, bytes)
            }
            yield case._replace(files=files)
    [case, *_] = _tars()
    yield Case({"0.tar.gz": gzip.compress(case.files["0.tar"])}, case.settings)


def _pictures() -> Iterator[Case]:
    files: Folder = {f"{form}.{form}": picture(form, seed) for seed, form in enumerate(PICTURES)}
    beside = {f"{form}.txt": _words(n).encode() for n, form in enumerate(PICTURES)}
    yield Case(files | beside, {"kind": "image_text"})
    entries = {
        f"{form}.json": json.dumps({"text": _words(n)}).encode() for n, form in enumerate(PICTURES)
    }
    yield Case(files | entries, {"kind": "image_text"})
    labels: Folder = {f"{'ab'[n % 2]}/{n}.jpeg": picture("jpeg", n) for n in range(ROWS)}
    yield Case(labels, {"kind": "image_text"})


def _coco() -> Iterator[Case]:
    about = {
        "images": [
            {"id": n, "file_name": f"{n}.png", "height": 8, "width": 12} for n in range(ROWS)
        ],
        "annotations": [
            {"id": n, "image_id": n // 2, "caption": _words(n), "category_id": n % 2}
            for n in range(2 * ROWS)
        ],
        "categories": [{"id": 0, "name": "barn"}, {"id": 1, "name": "door"}],
    }
    pictures: Folder = {f"train2017/{n}.png": picture(seed=n) for n in range(ROWS)}
    files = pictures | {"annotations/captions_train2017.json": json.dumps(about).encode()}
    for column in ("caption", "categories"):
        yield Case(files, {"kind": "image_text", "text_column": column})


def _tars() -> Iterator[Case]:
    members = [
        (f"{n:04}.{end}", content)
        for n in range(ROWS)
        for end, content in (
            ("png", picture(seed=n)),
            ("txt", _words(n).encode()),
            ("json", json.dumps({"caption": _words(n), "tags": ["a", n]}).encode()),
        )
    ]
    for known_by in ("content", "name"):
        own = {"kind": "image_text", "known_by": known_by}
        yield Case({"0.tar": tar(members[:12]), "1.tar": tar(members[12:])}, own)
    yield Case({"0.tar": tar(members)}, {"kind": "image_text", "text_column": "json.caption"})
    heard = [
        (f"{n:04}.{end}", content)
        for n in range(ROWS)
        for end, content in (("wav", sound(samples=800 + n)), ("txt", _words(n).encode()))
    ]
    yield Case({"0.tar": tar(heard)}, {"kind": "audio_text", "clip_seconds": 0.05})


def _pages() -> Iterator[Case]:
    pictures: Folder = {f"{n}.png": picture(seed=n) for n in range(ROWS)}
    spans = [{"spans": [_words(n), {"image": f"{n}.png"}, {"text": "and"}]} for n in range(ROWS)]
    yield Case(pictures | {"pages.jsonl": json_lines(spans)}, {"kind": "interleaved"})
    matched = [
        {
            "text_list": [_words(n), "and"],
            "image_info": [{"image_name": f"{n}.png", "matched_text_index": 1}],
        }
        for n in range(ROWS)
    ]
    yield Case(pictures | {"pages.json": json_list(matched)}, {"kind": "interleaved"})
    lists = [
        {"images": [None, {"bytes": picture(seed=n), "path": None}], "texts": [_words(n), None]}
        for n in range(ROWS)
    ]
    yield Case({"pages.parquet": parquet(lists)}, {"kind": "interleaved"})
    members = [
        (f"{n:04}.{end}", content)
        for n in range(ROWS)
        for end, content in (
            ("0.png", picture(seed=n)),
            ("json", json.dumps({"spans": [_words(n), {"image": f"{n:04}.0.png"}]}).encode()),
        )
    ]
    for known_by in ("content", "name"):
        yield Case({"pages.tar": tar(members)}, {"kind": "interleaved", "known_by": known_by})


def _videos() -> Iterator[Case]:
    files: Folder = {f"{suffix}.{suffix}": video(suffix) for suffix in VIDEOS}
    yield Case(files, {"kind": "video", "frames": 2, "frames_per_second": 4.0})
    yield Case(files, {"kind": "video", "frames": 2, "frame_stride": 2, "clip_spacing": 1})
    rows = [{"video": name, "caption": _words(n)} for n, name in enumerate(files)]
    own = {"kind": "video", "task": "captioned_video", "frames": 2, "clips_per_file": 2}
    yield Case(files | {"metadata.jsonl": json_lines(rows)}, own)


def _sounds() -> Iterator[Case]:
    files: Folder = {f"{n}.{end}": sound(end) for n, end in enumerate((*SOUNDS, *TRACKS))}
    beside = {f"{n}.{end}.txt": _words(n).encode() for n, end in enumerate((*SOUNDS, *TRACKS))}
    yield Case(files | beside, {"kind": "audio_text"})
    rows = [{"audio": name, "text": [_words(n), "x"]} for n, name in enumerate(files)]
    own = {"kind": "audio_text", "task": "transcript", "clip_seconds": 0.05, "most_clips": 50}
    yield Case(files | {"metadata.jsonl": json_lines(rows)}, own)


CONTROLS = {"controls": {"steering": {}, "throttle": {}}}


@cache
def _robot(version: str, as_pictures: bool) -> Mapping[str, bytes]:
    """A LeRobot set of six episodes, v3.0 as this library writes it, or in the older layout."""
    drawn = np.random.default_rng(0)
    lengths = (6, 7, 5, 8, 6, 7)
    settings = SetSettings(10, {"action": ("steering", "throttle")}, video_megabytes=0.005)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        with LeRobotWriter(root, settings) as writer:
            for number, length in enumerate(lengths):
                frames = drawn.integers(0, 256, (length, 16, 16, 3), dtype=np.uint8)
                action = drawn.uniform(0, 1, (length, 2))
                side = "test" if number == 5 else "train"
                writer.write(frames, {"action": action}, f"task {number % 2}", side)
        found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    if version == "v3.0":
        return found
    return _older(found, lengths, as_pictures)


def _older(
    found: Mapping[str, bytes], lengths: tuple[int, ...], as_pictures: bool
) -> dict[str, bytes]:
    info = json.loads(found["meta/info.json"])
    camera = next(name for name, own in info["features"].items() if own["dtype"] == "video")
    names = "chunk-{episode_chunk:03d}", "episode_{episode_index:06d}"
    info |= {
        "codebase_version": "v2.1",
        "data_path": "data/{}/{}.parquet".format(*names),
        "video_path": f"videos/{names[0]}/{{video_key}}/{names[1]}.mp4",
    }
    if as_pictures:
        info["features"][camera]["dtype"] = "image"
    files = {"meta/info.json": json.dumps(info).encode()}
    about = [{"episode_index": n, "length": own, "tasks": ["t"]} for n, own in enumerate(lengths)]
    files["meta/episodes.jsonl"] = json_lines(about)
    files["meta/tasks.jsonl"] = json_lines([{"task_index": 0, "task": "t"}])
    for number, length in enumerate(lengths):
        rows: dict[str, Any] = {
            "action": [[n / 10, 0.5] for n in range(length)],
            "timestamp": np.arange(length, dtype=np.float32) / 10,
            "frame_index": np.arange(length),
            "episode_index": np.full(length, number),
            "task_index": np.zeros(length, np.int64),
        }
        if as_pictures:
            rows[camera] = [{"bytes": picture(seed=n), "path": None} for n in range(length)]
        else:
            files[f"videos/chunk-000/{camera}/episode_{number:06d}.mp4"] = video(
                "mp4", length, number
            )
        files[f"data/chunk-000/episode_{number:06d}.parquet"] = parquet(pa.table(rows))
    return files


def _robots() -> Iterator[Case]:
    for version, as_pictures in (("v3.0", False), ("v2.1", False), ("v2.1", True)):
        for task in ("action_video", "video"):
            yield Case(dict(_robot(version, as_pictures)), {"kind": "lerobot", "task": task})


def _catalogs() -> Iterator[Case]:
    rows = [
        {
            "image": f"{n}.png",
            "timestamp_ms": 1_706_111_016_000 + 50 * n,
            "steering": n / 40,
            "throttle": 0.5,
            "session": f"drive {n // 10}",
        }
        for n in range(30)
    ]
    pictures: Folder = {f"{n}.png": picture(seed=n) for n in range(30)}
    for suffix in ("jsonl", "csv", "json"):
        own = {"kind": "catalog", "task": "action_video"}
        yield Case(pictures | {f"catalog.{suffix}": TABLES[suffix](rows)}, own)
    stored = [
        {**row, "image": {"bytes": picture(seed=n), "path": None}} for n, row in enumerate(rows)
    ]
    yield Case({"catalog.parquet": parquet(stored)}, {"kind": "catalog", "task": "action_video"})
    records = [
        {
            "_index": n,
            "_timestamp_ms": row["timestamp_ms"],
            "_session_id": row["session"],
            "cam/image_array": row["image"],
            "user/angle": row["steering"],
            "user/throttle": 0.5,
        }
        for n, row in enumerate(rows)
    ]
    tub: Folder = {f"images/{name}": content for name, content in pictures.items()}
    tub["manifest.json"] = json_lines(
        [["a"], {"paths": ["catalog_0.catalog"], "deleted_indexes": []}]
    )
    tub["catalog_0.catalog"] = json_lines(records)
    named = {"steering": {"column": "user/angle"}, "throttle": {"column": "user/throttle"}}
    yield Case(tub, {"kind": "catalog", "task": "action_video", "controls": named})


WALK = 12


def _walks() -> Iterator[Case]:
    for files in (_ground, _lines, _tum, _kitti, _scannet, _seven_scenes):
        walks = {
            f"{name}/{file}": content for name in "ab" for file, content in files(name).items()
        }
        for task in ("action_video", "video"):
            yield Case(walks, {"kind": "trajectories", "task": task})


def _ways(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Somebody goes where they look, turning: x and y in metres, yaw in radians."""
    yaw_T = 0.05 * np.sin(np.arange(WALK) / 4) + 0.06 * np.arange(WALK) + (name == "b")
    step_T2 = 0.1 * np.stack([np.cos(yaw_T), np.sin(yaw_T)], 1)
    return step_T2.cumsum(0) - step_T2, yaw_T


def _frames(pattern: str) -> Folder:
    return {
        pattern.format(n): picture("jpeg" if pattern.endswith("jpg") else "png", n)
        for n in range(WALK)
    }


def _matrices(name: str, world: str) -> np.ndarray:
    """[T, 4, 4]: a camera that looks ahead, its y down; the world's z is up, or its y down."""
    position_T2, yaw_T = _ways(name)
    found = np.tile(np.eye(4), (WALK, 1, 1))
    for n, ((x, y), yaw) in enumerate(zip(position_T2, yaw_T, strict=True)):
        ahead, right = (math.cos(yaw), math.sin(yaw), 0), (math.sin(yaw), -math.cos(yaw), 0)
        found[n, :3, :3] = np.array([right, (0, 0, -1), ahead]).T
        found[n, :3, 3] = x, y, 0
        if world == "opencv":  # x right, y down, z ahead
            found[n, :3] = np.array([(0, -1, 0), (0, 0, -1), (1, 0, 0)]) @ found[n, :3]
    return found


def _ground(name: str) -> Folder:
    position_T2, yaw_T = _ways(name)
    poses = {"position": position_T2.tolist(), "yaw": yaw_T.tolist()}
    if name == "b":
        stored = {"position": position_T2, "yaw": yaw_T}
        return _frames("{}.jpg") | {"traj_data.pkl": pickle.dumps(stored)}
    return _frames("{}.jpg") | {"traj_data.json": json.dumps(poses).encode()}


def _lines(name: str) -> Folder:
    rows = [
        {"image": f"rgb/{n}.png", "pose": matrix.tolist()}
        for n, matrix in enumerate(_matrices(name, "ros"))
    ]
    return _frames("rgb/{}.png") | {"poses.jsonl": json_lines(rows)}


def _tum(name: str) -> Folder:
    position_T2, yaw_T = _ways(name)
    lines = ["# timestamp tx ty tz qx qy qz qw"]
    for n, ((x, y), yaw) in enumerate(zip(position_T2, yaw_T, strict=True)):
        # About z by yaw, after the camera's axes (right, down, ahead) from (ahead, left, up).
        one, other = math.cos(yaw / 2) / 2, math.sin(yaw / 2) / 2
        numbers = (x, y, 0, -one - other, one - other, other - one, one + other)
        lines.append(
            " ".join([f"{1305031229 + n / 30:.6f}", *(f"{value:.9g}" for value in numbers)])
        )
    named = "".join(f"{1305031229 + n / 30:.6f} rgb/{n}.png\n" for n in range(WALK))
    return _frames("rgb/{}.png") | {
        "groundtruth.txt": "\n".join(lines).encode(),
        "rgb.txt": named.encode(),
    }


def _written(table: np.ndarray) -> bytes:
    return "".join(" ".join(f"{value:.9g}" for value in row) + "\n" for row in table).encode()


def _kitti(name: str) -> Folder:
    return _frames("image_2/{:06}.png") | {
        "poses.txt": _written(_matrices(name, "opencv")[:, :3].reshape(-1, 12))
    }


def _scannet(name: str) -> Folder:
    poses = {f"pose/{n}.txt": _written(own) for n, own in enumerate(_matrices(name, "ros"))}
    return _frames("color/{}.jpg") | poses


def _seven_scenes(name: str) -> Folder:
    poses = {
        f"frame-{n:06}.pose.txt": _written(own) for n, own in enumerate(_matrices(name, "opencv"))
    }
    return _frames("frame-{:06}.color.png") | poses


READERS: dict[str, Callable[[], Iterator[Case]]] = {
    "txt": _plain,
    **{
        suffix: lambda suffix=suffix: _table(suffix, "text")
        for suffix in ("jsonl", "json", "csv", "tsv")
    },
    "gz": _zipped,
    "parquet": lambda: _typed("parquet"),
    "arrow": lambda: _typed("arrow"),
    "pictures": _pictures,
    "coco": _coco,
    "tar": _tars,
    "interleaved": _pages,
    "video": _videos,
    "sound": _sounds,
    "lerobot": _robots,
    "catalog": _catalogs,
    "walks": _walks,
}
"""By name: the valid cases of each."""


@cache
def whole(reader: str) -> tuple[Case, ...]:
    """The cases of a reader as they should be."""
    return tuple(READERS[reader]())


@st.composite
def cases(draw: Callable[[st.SearchStrategy[Any]], Any], reader: str) -> Case:
    """A case of a reader in which something is wrong."""
    case = draw(st.sampled_from(whole(reader)))
    return case._replace(files=draw(damaged(case.files)))
