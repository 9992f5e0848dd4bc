"""LeRobot sets as others write them, made here with pyarrow and PyAV, read frame by frame.

Every picture is of one colour that says its episode (red) and its number (green), and every action
begins with 0.01 times that number: what is read shows where it was taken from.
"""

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as PillowImage

from chiasm.actions import ActionFormat
from chiasm.controls import ControlSettings
from chiasm.data.episode_source import EpisodeSource
from chiasm.data.robots import LeRobotSettings
from chiasm.data.source import Opened, Opening
from chiasm.data.sources import open_sources
from chiasm.documents import Image
from chiasm.errors import UserError

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


@pytest.mark.parametrize(
    "made",
    [
        Made(),
        Made(new_video=BOTH, new_data=(1, 5)),
        Made(version="v2.1"),
        Made(version="v2.0", names=["pan", "lift", "grip"]),
        Made(as_pictures=True),
        Made(names={"pan": 0, "grip": 2, "lift": 1}),
    ],
    ids=["shared", "two cameras", "v2.1", "v2.0", "pictures in rows", "numbered names"],
)
def test_every_frame_has_its_own_picture_and_action(made: Made, tmp_path: Path) -> None:
    """Files of rows and of each camera roll over at different episodes."""
    found = opened(make(tmp_path / "set", made), camera="front")
    assert walked(found) == expected(made.lengths)
    assert found.facts.skipped == {}
    assert found.facts.rows == sum(made.lengths)


def test_another_camera_is_another_view_of_the_same_sides(tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made(new_video=BOTH))
    found = {name: opened(root, camera=name) for name in ("front", WRIST)}
    assert walked(found["front"]) == walked(found[WRIST])
    blue = {n: sides(own)[1].picture(0).pixels()[0, 0, 2] for n, own in found.items()}
    assert blue == {"front": 0, WRIST: 200}
    with pytest.raises(UserError, match=r"arm\.camera is not set, and there are 2 cameras"):
        opened(root)
    with pytest.raises(UserError, match=f"choose one of: {FRONT}, {WRIST}"):
        opened(root, camera="back")


def test_lossy_av1_as_lerobot_writes_it_is_read_at_the_right_times(tmp_path: Path) -> None:
    made = Made(codec="libsvtav1", pixels="yuv420p")
    assert walked(opened(make(tmp_path / "set", made))) == expected(made.lengths)


def test_a_document_stays_in_its_episode(tmp_path: Path) -> None:
    train, _ = sides(opened(make(tmp_path / "set", Made()), frames=(2, 4), frame_spacing=2))
    for index in range(len(train)):
        document = train[index]
        shown = [seen(image) for image in document.images]
        assert len({episode for episode, _ in shown}) == 1
        assert np.diff([number for _, number in shown]).tolist() == [2] * (len(shown) - 1)
        assert [image.target for image in document.images] == [False] + [True] * (len(shown) - 1)


def test_several_rows_between_frames_say_their_mean_or_the_last(tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made())
    for between, pan in (("mean", 0.01), ("last", 0.02)):
        source = sides(opened(root, frame_spacing=3, between=between))[0]
        assert source.controls(0, 3)["pan"] == pytest.approx(pan)


def test_times_are_nominal_however_they_are_rounded(tmp_path: Path) -> None:
    """Float32 times of an episode, late in a file: off by more than the file's ticks."""

    def late(number: int, columns: dict[str, Any]) -> None:
        columns["timestamp"] = columns["timestamp"] + np.float32(0.004)

    made = Made(change=late)
    assert walked(opened(make(tmp_path / "set", made))) == expected(made.lengths)


@pytest.mark.parametrize("version", ["v3.0", "v2.1"])
def test_tasks_are_texts_and_their_numbers_may_be_fractions(version: str, tmp_path: Path) -> None:
    made = Made(version=version, tasks=(1.5, "put it down"), task_index=np.float64)
    if version == "v3.0":
        made = replace(made, tasks=(1.5, 2.0))
    first = sides(opened(make(tmp_path / "set", made), task="video"))
    texts = {own[n].text for own in first for n in range(len(own))}
    assert texts == {"video: 1.5", "video: 2.0" if version == "v3.0" else "video: put it down"}


@pytest.mark.filterwarnings("error")
def test_a_number_of_no_task_is_a_walk_without_words(tmp_path: Path) -> None:
    """As of a damaged cell, beyond what integers hold."""

    def damaged(number: int, columns: dict[str, Any]) -> None:
        columns["task_index"] = np.full(len(columns["task_index"]), 1e300)

    first = sides(opened(make(tmp_path / "set", Made(change=damaged)), task="video"))
    assert {own[0].text for own in first if len(own)} == {"video:"}


def test_a_table_of_tasks_without_texts_is_no_error(tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made())
    pq.write_table(pa.table({"task_index": [0, 1]}), root / "meta/tasks.parquet")
    assert sides(opened(root, task="video"))[0][0].text == "video:"


def test_padding_is_not_trained_on(tmp_path: Path) -> None:
    """The last three rows of every episode repeat its last action, and say so."""

    def pad(number: int, columns: dict[str, Any]) -> None:
        length = len(columns["frame_index"])
        columns["action_is_pad"] = (np.arange(length) >= length - 3).tolist()

    made = Made(change=pad)
    found = opened(make(tmp_path / "set", made))
    assert found.facts.skipped == {"padding": 3 * len(made.lengths)}
    shorter = expected([length - 3 for length in made.lengths])
    assert walked(found) == shorter


def test_rows_without_a_finite_action_lead_nowhere(tmp_path: Path) -> None:
    def spoil(number: int, columns: dict[str, Any]) -> None:
        if number == 1:
            columns["action"][3][0] = float("nan")
            columns["action"][6][2] = 1.5
        if number == 2:
            columns["action"][2] = None

    found = opened(make(tmp_path / "set", Made(change=spoil)))
    assert found.facts.skipped == {
        "pan is missing or not finite": 2,
        "grip outside actions.controls.grip.range": 1,
    }
    walks = walked(found)
    assert [number for number, action in walks[1] if not action] == [3, 6, 8]
    assert [number for number, _ in walks[1]] == list(range(9)), "they are shown"
    assert [number for number, action in walks[2] if not action] == [2, 5]
    assert "nan" not in "".join(action for own in walks.values() for _, action in own)


def test_an_episode_whose_video_is_missing_is_left_out_and_told(tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made())
    (root / f"videos/{FRONT}/chunk-000/file-001.mp4").unlink()
    found = opened(root)
    assert walked(found) == expected((7, 9, 6))
    assert found.facts.skipped == {"video file missing": 8 + 5 + 10}
    assert "video file missing: episodes 3, 4, 5" in found.facts.line("arm")


def test_a_video_that_is_cut_off_is_left_out(tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made(version="v2.1"))
    video = root / f"videos/chunk-000/{FRONT}/episode_000002.mp4"
    video.write_bytes(video.read_bytes()[:-40])
    found = opened(root)
    assert set(walked(found)) == {0, 1, 3, 4, 5}
    assert found.facts.skipped == {"video: cut off": 6}


def test_a_video_shorter_than_its_rows_shows_no_other_episode(tmp_path: Path) -> None:
    """The first of two in one file, whose missing frames would be the second's, and the last."""
    made = Made(shorter={1: 1, 5: 1})
    found = opened(make(tmp_path / "set", made))
    whole = expected(made.lengths)
    assert walked(found) == {n: own for n, own in whole.items() if n not in (1, 5)}
    assert found.facts.skipped == {"video shorter than its rows": 9 + 10}


def test_without_ends_an_episode_ends_where_the_next_one_begins(tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made(shorter={1: 1}))
    for file in sorted((root / "meta/episodes").rglob("*.parquet")):
        table = pq.read_table(file)
        pq.write_table(table.drop_columns([f"videos/{FRONT}/to_timestamp"]), file)
    found = opened(root)
    assert set(walked(found)) == {0, 2, 3, 4, 5}
    assert found.facts.skipped == {"video shorter than its rows": 9}


@pytest.mark.parametrize("lost", ["row", "number"])
def test_rows_that_are_not_as_the_metadata_says_are_left_out(lost: str, tmp_path: Path) -> None:
    def break_it(number: int, columns: dict[str, Any]) -> None:
        if number == 2 and lost == "row":
            for name in columns:
                columns[name] = columns[name][:-1]
        if number == 2 and lost == "number":
            columns["frame_index"] = columns["frame_index"] * 2

    found = opened(make(tmp_path / "set", Made(change=break_it)))
    assert set(walked(found)) == {0, 1, 3, 4, 5}
    why = "not as many rows as meta/episodes says" if lost == "row" else "frame_index has gaps"
    assert found.facts.skipped == {why: 6}


def test_the_sides_are_those_of_splits(tmp_path: Path) -> None:
    made = Made(info={"splits": {"train": "0:4", "val": "4:6"}})
    train, held_out = sides(opened(make(tmp_path / "set", made)))
    assert {episode.name for episode in held_out.episodes} == {"episode 4", "episode 5"}
    assert len(train.episodes) == 4


def test_sides_do_not_depend_on_what_is_read(tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made(new_video=BOTH))
    ways = [
        {"camera": "front"},
        {"camera": "wrist"},
        {"camera": "front", "controls": {"pan": {"column": "lift"}}},
        {"camera": "front", "task": "video"},
    ]
    chosen = [[e.name for e in sides(opened(root, **own))[1].episodes] for own in ways]
    assert chosen == [chosen[0]] * 4
    assert len(chosen[0]) == 1


@pytest.mark.parametrize(
    ("own", "complaint"),
    [
        ({"controls": {"pan": {"column": "elbow"}}}, "choose one of: pan, lift, grip"),
        ({"controls": {"elbow": {}}}, "is no control of this recipe, which has pan, grip"),
        ({"action_feature": "actions"}, "choose one of: action"),
        ({"task": "walk"}, "is no task of kind 'lerobot'"),
        ({"frames": (12, 12)}, "frames, and a document needs 12; lower frames"),
    ],
)
def test_a_wrong_setting_is_told_with_the_right_ones(
    own: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    root = make(tmp_path / "set", Made())
    with pytest.raises(UserError, match=complaint):
        opened(root, **own)


def test_a_control_may_be_a_number_of_its_feature_in_another_unit(tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made(names=None))
    own = {"pan": {"column": "1", "factor": -0.5}, "grip": {"column": "2"}}
    source = sides(opened(root, controls=own))[0]
    episode, _ = seen(source.picture(0))
    assert source.controls(0, 1) == {"pan": -0.5 * episode, "grip": 0.0}


def test_a_depth_map_is_no_picture(tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made(new_video=BOTH))
    about = json.loads((root / "meta/info.json").read_text())
    about["features"][WRIST]["info"] = {"video.is_depth_map": True}
    (root / "meta/info.json").write_text(json.dumps(about))
    assert set(walked(opened(root))) == set(range(6)), "the other one is the only camera"
    with pytest.raises(UserError, match="is a depth map"):
        opened(root, camera=WRIST)


def test_what_is_no_set_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not there"):
        opened(tmp_path / "nowhere")
    root = make(tmp_path / "above" / "set", Made())
    with pytest.raises(UserError, match=r"has no meta/info.json; give '.*set'"):
        opened(tmp_path / "above")
    about = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps(about | {"codebase_version": "v1.6"}))
    with pytest.raises(UserError, match=r"is in version v1\.6"):
        opened(root)


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    first = opened(make(tmp_path / "one", Made())).facts.fingerprint
    assert opened(make(tmp_path / "two", Made())).facts.fingerprint == first

    def other(number: int, columns: dict[str, Any]) -> None:
        columns["action"][0][0] = 0.5

    assert opened(make(tmp_path / "three", Made(change=other))).facts.fingerprint != first


def meta(root: Path, **own: Any) -> None:
    """Changes entries of meta/info.json."""
    about = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps(about | own))


@pytest.mark.parametrize(
    "template",
    ["/etc/{chunk_index}", "../{file_index}", "{chunk_index.__class__}", "{other}", 3, "a\0b"],
)
def test_a_template_that_leads_elsewhere_is_refused(template: Any, tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made())
    meta(root, data_path=template)
    with pytest.raises(UserError, match=r"info\.json: data_path = .* or leads out of the folder"):
        opened(root)


def test_odd_metadata_is_told_or_left_aside(tmp_path: Path) -> None:
    """Splits of more episodes than memory has numbers, and entries of other types."""
    root = make(tmp_path / "set", Made())
    meta(root, splits={"train": "0:4", "val": "4:99999999999999"}, chunks_size="many")
    held_out = sides(opened(root))[1]
    assert {episode.name for episode in held_out.episodes} == {"episode 4", "episode 5"}
    meta(root, splits=["train"], fps=10**400)
    with pytest.raises(UserError, match=r"info\.json: fps = .* is no rate") as caught:
        opened(root)
    assert len(str(caught.value)) < 300
    meta(root, fps=RATE, features=["action"])
    with pytest.raises(UserError, match=r"arm\.camera is not set, and there are 0 cameras"):
        opened(root)


def test_lines_that_are_no_objects_are_told(tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made(version="v2.1"))
    with (root / "meta/episodes.jsonl").open("a") as file:
        file.write("[3]\n")
    with pytest.raises(UserError, match=r"episodes\.jsonl: entry 6 is no JSON object"):
        opened(root)


def test_a_time_that_is_no_number_shows_no_frame(tmp_path: Path) -> None:
    def spoil(number: int, columns: dict[str, Any]) -> None:
        if number == 1:
            columns["timestamp"][[2, 8]] = np.nan

    found = opened(make(tmp_path / "set", Made(change=spoil)))
    assert set(walked(found)) == {0, 2, 3, 4, 5}
    assert found.facts.skipped == {"no frame of the video at a row's time": 9}


@pytest.mark.parametrize("kind", ["numbers", "lists", "truth values"])
def test_a_row_without_its_number_takes_its_episode(kind: str, tmp_path: Path) -> None:
    def spoil(number: int, columns: dict[str, Any]) -> None:
        own = columns["frame_index"].tolist()
        own = [[each] for each in own] if kind == "lists" else own
        if number == 1:
            own = [True] * len(own) if kind == "truth values" else own
            own[2] = None
        columns["frame_index"] = own

    made = Made(version="v2.1", change=spoil)
    found = opened(make(tmp_path / "set", made))
    assert walked(found) == {n: own for n, own in expected(made.lengths).items() if n != 1}
    assert found.facts.skipped == {"frame_index has gaps": 9}


@pytest.mark.parametrize("name", ["action", "episode_index", "timestamp", "task_index"])
def test_words_in_place_of_numbers_are_told(name: str, tmp_path: Path) -> None:
    def spoil(number: int, columns: dict[str, Any]) -> None:
        columns[name] = ["three"] * len(columns["frame_index"])

    with pytest.raises(UserError, match=rf"file-000\.parquet: {name} holds no numbers \(string"):
        opened(make(tmp_path / "set", Made(change=spoil)))
