"""The metadata of a LeRobot data set, v3.0, v2.1 or v2.0: features, tasks and episodes.

In v3.0 several episodes share a file, and the files of the data and of each camera roll over
independently; before, each episode has files of its own. Paths are made by the templates in
``meta/info.json``.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chiasm.data.lerobot_files import (
    is_number,
    mapped,
    parquet_columns,
    read_json,
    read_json_lines,
    read_parquet,
)
from chiasm.errors import UserError

INFO = "meta/info.json"
_TASKS, _EPISODES = "meta/tasks.parquet", "meta/episodes"
_OLD_TASKS, _OLD_EPISODES = "meta/tasks.jsonl", "meta/episodes.jsonl"
_INDEX, _FILE = "episode_index", ("chunk_index", "file_index")
_HELD_OUT_NAMES = ("test", "val", "valid", "validation", "held_out", "eval")
_PICTURES = ("video", "image")
_PART = re.compile(r"\{(\w+)(?::(0\dd))?\}")
"""What a number or a name takes the place of in a template."""


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
    begin_seconds: float = 0.0
    """Time of its first frame in the video's file."""
    end_seconds: float = math.inf
    """Time in that file when it ends, which another episode may follow."""


@dataclass(frozen=True)
class LeRobotLayout:
    """What the metadata of a data set says."""

    root: Path
    version: str
    frames_per_second: float
    features: Mapping[str, Feature]
    tasks: Mapping[int, str]
    info: Mapping[str, Any]

    def held_out(self, episodes: Iterable[int]) -> frozenset[int]:
        """Returns those that ``splits`` sets apart from those to train on; none if it does not."""
        splits = {
            name: found
            for name, text in mapped(self.info.get("splits")).items()
            if (found := _numbers(text))
        }
        name = next((name for name in _HELD_OUT_NAMES if name in splits), "")
        train, apart = splits.get("train"), splits.get(name)
        if train is None or apart is None:
            return frozenset()
        return frozenset(number for number in episodes if number in apart and number not in train)

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

    def episodes(self, camera: Feature) -> list[EpisodePlace]:
        """Returns where each episode is, in order.

        Raises:
            UserError: the files of episodes are missing or cannot be read.
        """
        rows = sorted(self._episode_rows(camera), key=lambda row: int(row[_INDEX]))
        return _bounded([self._place(row, camera) for row in rows])

    def _place(self, row: Mapping[str, Any], camera: Feature) -> EpisodePlace:
        index, length = int(row[_INDEX]), int(row["length"])
        names = {_INDEX: index, "episode_chunk": index // self._chunk_size}
        of_video = {"video_key": camera.name} | names
        if self.version.startswith("v2"):
            video = self._path("video_path", of_video) if camera.dtype == "video" else None
            return EpisodePlace(index, length, self._path("data_path", names), video)
        names |= {part: int(row[f"data/{part}"]) for part in _FILE}
        place = EpisodePlace(index, length, self._path("data_path", names), None)
        chunk, file, begin, end = (
            row.get(f"videos/{camera.name}/{part}")
            for part in (*_FILE, "from_timestamp", "to_timestamp")
        )
        if not (is_number(chunk) and is_number(file) and is_number(begin)):
            return place
        of_video |= dict(zip(_FILE, (int(chunk), int(file)), strict=True))
        return replace(
            place,
            video=self._path("video_path", of_video),
            begin_seconds=float(begin),
            end_seconds=float(end) if is_number(end) else math.inf,
        )

    @property
    def _chunk_size(self) -> int:
        found = self.info.get("chunks_size")
        return max(1, int(found)) if is_number(found) else 1000

    def _path(self, template: str, names: Mapping[str, Any]) -> Path:
        """Returns the path of a file, by a template such as ``a/{episode_index:06d}.parquet``.

        Raises:
            UserError: it cannot be filled in, or leads out of the folder.
        """

        def fill(part: re.Match[str]) -> str:
            own = names.get(part[1], part[0])
            return f"{own:{part[2] or ''}}" if isinstance(own, int) else own

        text = self.info.get(template)
        filled = _PART.sub(fill, text) if isinstance(text, str) else "{}"
        if set(filled) & set("{}\0") or Path(filled).is_absolute() or ".." in Path(filled).parts:
            why = "cannot be filled in, or leads out of the folder; mend it"
            raise UserError(f"{self.root / INFO}: {template} = {text!r:.200} {why}")
        return self.root / filled

    def _episode_rows(self, camera: Feature) -> list[dict[str, Any]]:
        """Returns the metadata of each episode that is read, by its names in v3.0."""
        needed = [_INDEX, "length"]
        if self.version.startswith("v2"):
            file = self.root / _OLD_EPISODES
            rows = read_json_lines(file)
        else:
            needed += [f"data/{part}" for part in _FILE]
            files = sorted((self.root / _EPISODES).glob("*/*.parquet"))
            if not files:
                raise UserError(f"{self.root / _EPISODES} holds no parquet files; fetch them")
            rows, file = [], files[0].parent
            for own in files:
                wanted = (*needed, f"videos/{camera.name}/")
                names = [name for name in parquet_columns(own) if name.startswith(wanted)]
                rows += read_parquet(own, names).to_pylist()
        for row in rows:
            if lacking := [name for name in needed if not is_number(row.get(name))]:
                why = f"an episode has no number as its {lacking[0]} ({row!s:.99}); write it again"
                raise UserError(f"{file}: {why}")
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
    info = read_json(root / INFO)
    version = str(info.get("codebase_version", ""))
    if not re.match(r"v(2\.[01]|3\.\d+)$", version):
        raise UserError(
            f"is in version {version[:20] or 'none'} of the format",
            setting=blamed,
            value=path,
            remedy="v3.0, v2.1 and v2.0 are read; convert it with LeRobot's own scripts",
        )
    rate = info.get("fps")
    if not is_number(rate) or not float(rate) > 0:
        raise UserError(f"{root / INFO}: fps = {rate!r:.40} is no rate; mend it")
    try:
        given = mapped(info.get("features"))
        features = {name: _feature(name, mapped(own)) for name, own in given.items()}
    except RecursionError as error:
        raise UserError(f"{root / INFO}: names nested too deep; mend it") from error
    return LeRobotLayout(root, version, float(rate), features, _tasks(root, version), info)


def _bounded(places: Sequence[EpisodePlace]) -> list[EpisodePlace]:
    """Returns places that end, at the latest, where the next episode in their video begins."""
    begins: dict[Path | None, list[float]] = {}
    for place in places:
        begins.setdefault(place.video, []).append(place.begin_seconds)
    ordered = {video: [*sorted(own), math.inf] for video, own in begins.items()}

    def end(place: EpisodePlace) -> float:
        own = ordered[place.video]
        return min(place.end_seconds, own[bisect_right(own, place.begin_seconds, hi=len(own) - 1)])

    return [replace(place, end_seconds=end(place)) for place in places]


def _feature(name: str, own: Mapping[str, Any]) -> Feature:
    about = [mapped(own.get(name)) for name in ("info", "video_info")]
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
        rows = read_json_lines(root / _OLD_TASKS) if (root / _OLD_TASKS).is_file() else []
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
        if is_number(number) and text is not None and text == text
    }


def _numbers(text: Any) -> range:
    """Returns the episodes of a split, ``"40:50"``."""
    match = re.fullmatch(r"\s*(\d{1,18})\s*:\s*(\d{1,18})\s*", str(text))
    return range(int(match[1]), int(match[2])) if match else range(0)
