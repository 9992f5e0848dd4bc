"""The metadata of a LeRobot data set, v3.0, v2.1 or v2.0: features, tasks and episodes.

In v3.0 several episodes share a file, and the files of the data and of each camera roll over
independently; before, each episode has files of its own. Paths are made by the templates in
``meta/info.json``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import pyarrow as pa
import pyarrow.parquet

from chiasm.errors import UserError, first_line

INFO = "meta/info.json"
_TASKS, _EPISODES = "meta/tasks.parquet", "meta/episodes"
_OLD_TASKS, _OLD_EPISODES = "meta/tasks.jsonl", "meta/episodes.jsonl"
_HELD_OUT_NAMES = ("test", "val", "valid", "validation", "held_out", "eval")
_PICTURES = ("video", "image")


@dataclass(frozen=True)
class Feature:
    """One feature of every row."""

    name: str
    dtype: str
    names: tuple[str, ...]
    """Names of the numbers of a vector; empty if it has none."""
    is_depth: bool

    @property
    def is_camera(self) -> bool:
        """Whether it holds pictures in colour."""
        return self.dtype in _PICTURES and not self.is_depth


@dataclass(frozen=True)
class EpisodePlace:
    """Where the rows and the pictures of an episode are."""

    index: int
    length: int
    data: Path
    video: Path | None
    """None for a camera whose pictures stand in the rows, and where no file is named."""
    begin_seconds: float
    """Time of its first frame in the video's file."""


@dataclass(frozen=True)
class LeRobotLayout:
    """What the metadata of a data set says."""

    root: Path
    version: str
    frames_per_second: float
    features: Mapping[str, Feature]
    tasks: Mapping[int, str]
    info: Mapping[str, Any]

    @property
    def held_out(self) -> frozenset[int]:
        """Episodes that ``splits`` sets apart from those to train on; empty if it does not."""
        splits = {
            name: found
            for name, text in (self.info.get("splits") or {}).items()
            if (found := _numbers(text))
        }
        name = next((name for name in _HELD_OUT_NAMES if name in splits), "")
        apart = splits.get(name, frozenset()) - splits.get("train", frozenset())
        return apart if "train" in splits else frozenset()

    def camera(self, wanted: str) -> Feature:
        """Returns the feature of a camera, by its name or the end of it; empty: the only one.

        Raises:
            UserError: there is none of this name, or several and none is named.
        """
        cameras = [own for own in self.features.values() if own.dtype in _PICTURES]
        colour = [own for own in cameras if own.is_camera]
        names = ", ".join(own.name for own in colour)
        same = [own for own in cameras if own.name == wanted]
        same = same or [own for own in colour if wanted and own.name.endswith(f".{wanted}")]
        if not wanted:
            same = colour
        if len(same) == 1 and same[0].is_camera:
            return same[0]
        if len(same) == 1:
            why = "is a depth map, whose codes are no colours"
        elif not wanted:
            why = f"is not set, and there are {len(colour)} cameras"
        else:
            why = "is no camera of this set" if not same else "is the end of several names"
        raise UserError(
            why,
            setting="camera",
            remedy=f"choose one of: {names}" if names else f"give a set with one ({INFO})",
            **({"value": wanted} if wanted else {}),
        )

    def vector(self, wanted: str) -> Feature:
        """Returns a feature of numbers.

        Raises:
            UserError: there is none of this name.
        """
        vectors = {
            name: own
            for name, own in self.features.items()
            if own.dtype.startswith(("float", "int", "uint", "bool"))
        }
        if wanted in vectors:
            return vectors[wanted]
        raise UserError(
            "is no feature with numbers",
            setting="action_feature",
            value=wanted,
            remedy=f"choose one of: {', '.join(vectors)}",
        )

    def episodes(self, camera: Feature) -> Iterator[EpisodePlace]:
        """Yields where each episode is, in order.

        Raises:
            UserError: the files of episodes are missing or cannot be read.
        """
        for row in sorted(self._episode_rows(camera), key=lambda row: int(row["episode_index"])):
            index = int(row["episode_index"])
            names = {"episode_index": index, "episode_chunk": index // self._chunk_size}
            video, begin = None, 0.0
            if camera.dtype == "video":
                of_video = {"video_key": camera.name} | names
                if self.version.startswith("v2"):
                    video = self._path("video_path", of_video)
                else:
                    chunk, file, start = (
                        row.get(f"videos/{camera.name}/{part}")
                        for part in ("chunk_index", "file_index", "from_timestamp")
                    )
                    if _is_number(chunk) and _is_number(file) and _is_number(start):
                        begin = float(start)
                        of_video |= {"chunk_index": int(chunk), "file_index": int(file)}
                        video = self._path("video_path", of_video)
            if not self.version.startswith("v2"):
                names |= {part: int(row[f"data/{part}"]) for part in ("chunk_index", "file_index")}
            yield EpisodePlace(
                index, int(row["length"]), self._path("data_path", names), video, begin
            )

    @property
    def _chunk_size(self) -> int:
        return int(self.info.get("chunks_size") or 1000)

    def _path(self, template: str, names: Mapping[str, Any]) -> Path:
        text = self.info.get(template)
        try:
            return self.root / str(text).format(**names)
        except (KeyError, IndexError, ValueError) as error:
            raise UserError(
                f"{self.root / INFO}: {template} = {text!r} cannot be filled in ({error})"
            ) from error

    def _episode_rows(self, camera: Feature) -> list[dict[str, Any]]:
        if self.version.startswith("v2"):
            return _json_lines(self.root / _OLD_EPISODES)
        files = sorted((self.root / _EPISODES).glob("*/*.parquet"))
        if not files:
            raise UserError(f"{self.root / _EPISODES} holds no parquet files; fetch them")
        wanted = ("episode_index", "length", "data/", f"videos/{camera.name}/")
        rows = []
        for file in files:
            columns = [name for name in parquet_columns(file) if name.startswith(wanted)]
            rows += read_parquet(file, columns).to_pylist()
        needed = {"episode_index", "length", "data/chunk_index", "data/file_index"}
        if rows and (lacking := needed - rows[0].keys()):
            raise UserError(f"{files[0]} lacks {', '.join(sorted(lacking))}; write it again")
        return rows


def read_layout(path: str, blamed: str = "path") -> LeRobotLayout:
    """Returns the metadata of the data set in a folder.

    Raises:
        UserError: it is no such folder, its version is not read, or a file of it is damaged.
    """
    root = Path(path)
    if not (root / INFO).is_file():
        inside = [each.parent.parent for each in sorted(root.glob(f"*/{INFO}"))]
        inside += [each.parent.parent for each in sorted(root.glob(f"*/*/{INFO}"))]
        hint = f"; give {str(inside[0])!r}" if inside else ""
        fetched = "give the folder of a LeRobot data set; those of the hub are fetched first"
        why = f"has no {INFO}{hint}" if root.is_dir() else "is not there: no such folder"
        raise UserError(why, setting=blamed, value=path, remedy=fetched)
    info = _json(root / INFO)
    version = str(info.get("codebase_version", ""))
    if not re.match(r"v(2\.[01]|3\.\d+)$", version):
        raise UserError(
            f"is in version {version or 'none'} of the format",
            setting=blamed,
            value=path,
            remedy="v3.0, v2.1 and v2.0 are read; convert it with LeRobot's own scripts",
        )
    rate = info.get("fps")
    if not _is_number(rate) or not float(rate) > 0:
        raise UserError(f"{root / INFO}: fps = {rate!r} is no rate; mend it")
    features = {name: _feature(name, own) for name, own in (info.get("features") or {}).items()}
    return LeRobotLayout(root, version, float(rate), features, _tasks(root, version), info)


def read_parquet(file: Path, columns: list[str]) -> pa.Table:
    """Returns some columns of a parquet file.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return pa.parquet.ParquetFile(file).read(columns)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file} cannot be read as parquet ({first_line(error)})") from error


def parquet_columns(file: Path) -> list[str]:
    """Returns the names of the columns of a parquet file.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        names: list[str] = pa.parquet.read_schema(file).names
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file} cannot be read as parquet ({first_line(error)})") from error
    return names


def _feature(name: str, own: Mapping[str, Any]) -> Feature:
    about = [own.get("info") or {}, own.get("video_info") or {}]
    depth = any(each.get(key) for each in about for key in ("is_depth_map", "video.is_depth_map"))
    return Feature(name, str(own.get("dtype")), tuple(_flat(own.get("names"))), depth)


def _flat(names: Any) -> Iterator[str]:
    """Yields the names of a vector: a list, or lists by the name of their part."""
    match names:
        case dict():
            # Some writers give each name its number instead of a list.
            if names and all(isinstance(value, int) for value in names.values()):
                yield from sorted(names, key=names.__getitem__)
            else:
                for own in names.values():
                    yield from _flat(own)
        case list() | tuple():
            for own in names:
                yield from _flat(own)
        case None:
            return
        case _:
            yield str(names)


def _tasks(root: Path, version: str) -> dict[int, str]:
    """Returns the texts of tasks by number; texts that were written as numbers are texts."""
    if version.startswith("v2"):
        rows = _json_lines(root / _OLD_TASKS) if (root / _OLD_TASKS).is_file() else []
        found = [(row.get("task_index"), row.get("task")) for row in rows]
    elif (root / _TASKS).is_file():
        names = parquet_columns(root / _TASKS)
        # pandas keeps the texts in its index, which has the name task or none.
        text = next((name for name in names if name != "task_index"), "")
        if not text or "task_index" not in names:
            return {}
        table = read_parquet(root / _TASKS, ["task_index", text])
        found = list(zip(table["task_index"].to_pylist(), table[text].to_pylist(), strict=True))
    else:
        return {}
    return {
        int(number): str(text).strip()
        for number, text in found
        if _is_number(number) and text is not None and text == text
    }


def _numbers(text: Any) -> frozenset[int]:
    """Returns the episodes of a split, ``"40:50"``."""
    match = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", str(text))
    return frozenset(range(int(match[1]), int(match[2]))) if match else frozenset()


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is no JSON ({error}); fetch or write it again") from error
    if not isinstance(found, dict):
        raise UserError(f"{file} is no JSON object; fetch or write it again")
    return found


def _json_lines(file: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}); fetch or write it again") from error
