"""Walks written as LeRobot sets, and read back by this project's own reader."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image as PillowImage

from chiasm.actions import ActionFormat
from chiasm.capabilities import ActionVideos
from chiasm.controls import ControlSettings
from chiasm.data.episode_source import EpisodeSource
from chiasm.data.lerobot_export import STEP, export_walks, set_settings
from chiasm.data.lerobot_writer import CAMERA, SetSettings
from chiasm.data.recorded import RecordedSettings
from chiasm.data.robots import CatalogSettings, LeRobotSettings
from chiasm.data.source import SOURCES, Opened, Opening
from chiasm.data.sources import open_sources
from chiasm.documents import Source
from chiasm.errors import UserError
from chiasm.poses import relative_pose

DRIVE = Path(__file__).parents[3] / "shared" / "data" / "drive" / "donkey_track"
CAR = ActionFormat(
    controls={
        "steering": ControlSettings(range=(-1, 1), decimals=6),
        "throttle": ControlSettings(range=(0, 1), decimals=6),
    }
)
LENGTHS = (6, 9, 5, 12, 7)


def noise(seed: int, size: tuple[int, int] = (10, 14)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.fixture
def walks(tmp_path: Path) -> Opened:
    """Recorded walks of noise, which no codec keeps by chance."""
    for number, length in enumerate(LENGTHS):
        own = tmp_path / "walks" / f"walk_{number}"
        own.mkdir(parents=True)
        for k in range(length):
            PillowImage.fromarray(noise(100 * number + k)).save(own / f"{k}.png")
        rng = np.random.default_rng(number)
        position = rng.normal(size=(length, 2)).cumsum(0) * 0.3
        content = {"position": position.tolist(), "yaw": (rng.normal(size=length) * 0.3).tolist()}
        (own / "traj_data.json").write_text(json.dumps(content))
    settings = RecordedSettings.model_validate(
        {"task": "action_video", "path": str(tmp_path / "walks"), "held_out_fraction": 0.4}
        | {"trajectories": {"horizon_frames": (1, 1)}}
    )
    return open_sources({"nav": settings}, Opening())["nav"]


@pytest.fixture
def drives(tmp_path: Path) -> Opened:
    folder = tmp_path / "drives"
    folder.mkdir()
    rows = []
    for session, length in enumerate(LENGTHS):
        for k in range(length):
            PillowImage.fromarray(noise(100 * session + k)).save(folder / f"{session}_{k}.png")
            row = {"image": f"{session}_{k}.png", "timestamp_ms": 10**6 * session + 50 * k}
            own = {"steering": np.sin(session + k), "throttle": k / 20, "session": session}
            rows.append(row | own)
    (folder / "catalog.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = CatalogSettings(path=str(folder), task="action_video", held_out_fraction=0.4)
    return open_sources({"car": settings}, Opening(actions=CAR))["car"]


def both(found: Opened) -> dict[str, Source]:
    return {"train": found.train, "held_out": found.held_out}


def exported(
    found: Opened, folder: Path, fps: int | None = None, crf: int = 0, **own: Any
) -> tuple[int, int]:
    settings = set_settings(both(found), fps, crf)
    settings = SetSettings(**{**vars(settings), **own})
    return export_walks(both(found), folder, settings, lambda done, of: None)


def read_back(folder: Path, actions: ActionFormat, **own: Any) -> Opened:
    settings = LeRobotSettings.model_validate({"path": str(folder), "task": "action_video"} | own)
    return open_sources({"back": settings}, Opening(actions=actions))["back"]


def frames_of(source: Source) -> list[list[np.ndarray]]:
    assert isinstance(source, ActionVideos)
    return [[source.picture(frame).pixels() for frame in walk] for walk in source.walks]


def test_a_drive_comes_back_to_the_bit(drives: Opened, tmp_path: Path) -> None:
    assert exported(drives, tmp_path / "set") == (len(LENGTHS), sum(LENGTHS))
    back = read_back(tmp_path / "set", CAR)
    assert not back.facts.skipped
    for side in ("train", "held_out"):
        own, other = drives.side(side), back.side(side)
        assert isinstance(own, EpisodeSource)
        assert isinstance(other, EpisodeSource)
        pairs = zip(frames_of(own), frames_of(other), strict=True)
        assert all(
            np.array_equal(a, b) for one, two in pairs for a, b in zip(one, two, strict=True)
        )
        assert other.frames_per_second == 20
        for walk, read in zip(own.walks, other.walks, strict=True):
            for (a, b), (c, d) in zip(pairwise(walk), pairwise(read), strict=True):
                assert other.controls(c, d) == pytest.approx(own.controls(a, b), abs=1e-6)


def test_a_recipe_has_the_same_documents_and_batches_of_the_set(
    drives: Opened, made: Any, tmp_path: Path
) -> None:
    """Whole drives are exported, and documents of every second frame are made of them."""
    exported(drives, tmp_path / "set")
    table = {"controls": {}, "task": "action_video", "frames": (3, 3), "frame_spacing": 2}
    kinds = {"catalog": tmp_path / "drives", "lerobot": tmp_path / "set"}
    form = ActionFormat(controls={name: ControlSettings(decimals=3) for name in CAR.controls})
    found = {}
    for kind, path in kinds.items():
        settings = SOURCES.of(kind).model_validate(
            {"path": str(path), "held_out_fraction": 0.4} | table
        )
        found[kind] = open_sources({"car": settings}, Opening(actions=form))["car"]
    assert found["catalog"].facts.documents == found["lerobot"].facts.documents > 10
    for side in ("train", "held_out"):
        one, other = (made.documents(found[kind].side(side)) for kind in kinds)
        assert [document.text for document in one] == [document.text for document in other]
        pairs = zip(one, other, strict=True)
        assert all(
            [a.target for a in first.images] == [b.target for b in second.images]
            and np.array_equal(
                [a.pixels() for a in first.images], [b.pixels() for b in second.images]
            )
            for first, second in pairs
        )
    streams = [made.stream({"car": found[kind].train}, sequence_length=80) for kind in kinds]
    for _ in range(4):
        one, other = map(next, streams)
        assert torch.equal(one.ids_BT, other.ids_BT)
        assert torch.equal(one.label_BT, other.label_BT)
        own, back = (batch.slots["image"].items for batch in (one, other))
        assert all(map(torch.equal, own, back))


def test_walks_with_poses_become_steps_and_states(walks: Opened, tmp_path: Path) -> None:
    exported(walks, tmp_path / "set")
    names = {name.split("_")[0] + ".step": name for name in STEP}
    actions = ActionFormat(controls={name: ControlSettings(decimals=6) for name in names})
    own = {name: {"column": column} for name, column in names.items()}
    back = read_back(tmp_path / "set", actions, controls=own)
    for side in ("train", "held_out"):
        source, other = walks.side(side), back.side(side)
        assert isinstance(other, EpisodeSource)
        assert [len(walk) for walk in source.walks] == [len(walk) for walk in other.walks]
        for walk, read in zip(source.walks, other.walks, strict=True):
            for (a, b), (c, d) in zip(pairwise(walk), pairwise(read), strict=True):
                step = relative_pose(source.pose(a), source.pose(b))
                assert list(other.controls(c, d).values()) == pytest.approx(step, abs=1e-5)
        pairs = zip(frames_of(source), frames_of(other), strict=True)
        assert all(
            np.array_equal(a, b) for one, two in pairs for a, b in zip(one, two, strict=True)
        )


def test_files_of_rows_and_pictures_roll_over_each_on_its_own(
    drives: Opened, tmp_path: Path
) -> None:
    exported(drives, tmp_path / "set", data_megabytes=0.0009, video_megabytes=0.003)
    videos = sorted((tmp_path / "set" / "videos" / CAMERA / "chunk-000").iterdir())
    tables = sorted((tmp_path / "set" / "data" / "chunk-000").iterdir())
    assert len(videos) > 1
    assert len(tables) > 1
    assert len(videos) != len(tables)
    back = read_back(tmp_path / "set", CAR)
    for side in ("train", "held_out"):
        pairs = zip(frames_of(drives.side(side)), frames_of(back.side(side)), strict=True)
        assert all(
            np.array_equal(a, b) for one, two in pairs for a, b in zip(one, two, strict=True)
        )


@pytest.mark.parametrize("size", [(32, 48), (31, 45)])
def test_with_loss_pictures_are_near(size: tuple[int, int], tmp_path: Path) -> None:
    folder = tmp_path / "drive"
    folder.mkdir()
    rows = []
    for k in range(12):
        pixels = np.full((*size, 3), (20 * k, 255 - 20 * k, 90), np.uint8)
        PillowImage.fromarray(pixels).save(folder / f"{k}.png")
        rows.append({"image": f"{k}.png", "timestamp_ms": 50 * k, "steering": 0, "throttle": 0})
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = CatalogSettings(path=str(folder), task="action_video", held_out_fraction=0.3)
    found = open_sources({"car": settings}, Opening(actions=CAR))["car"]
    exported(found, tmp_path / "set", crf=18)
    back = read_back(tmp_path / "set", CAR)
    [own], [other] = frames_of(found.train), frames_of(back.train)
    far = np.abs(np.array(own, int) - np.array(other, int))
    assert far.max() <= 8
    assert far.max() > 0


def test_the_metadata_is_as_lerobot_looks_for_it(drives: Opened, tmp_path: Path) -> None:
    exported(drives, tmp_path / "set")
    root = tmp_path / "set"
    info = json.loads((root / "meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"]) == ("v3.0", 20)
    assert (info["total_episodes"], info["total_frames"]) == (len(LENGTHS), sum(LENGTHS))
    assert info["splits"] == {"train": "0:3", "test": "3:5"}
    assert info["features"]["action"]["names"] == ["steering", "throttle"]
    tasks = pq.read_table(root / "meta/tasks.parquet").to_pandas()
    assert tasks.index.tolist() == ["walk of car"]
    assert tasks.columns.tolist() == ["task_index"]
    rows = pq.read_table(root / "data/chunk-000/file-000.parquet")
    assert rows["index"].to_pylist() == list(range(sum(LENGTHS)))
    assert rows["next.done"].to_pylist().count(True) == len(LENGTHS)
    assert CAMERA not in rows.column_names
    about = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [row["length"] for row in about] == [
        row["dataset_to_index"] - row["dataset_from_index"] for row in about
    ]
    begin = f"videos/{CAMERA}/from_timestamp"
    assert [row[begin] for row in about] == [row["dataset_from_index"] / 20 for row in about]


def test_statistics_are_those_of_what_was_written(drives: Opened, tmp_path: Path) -> None:
    exported(drives, tmp_path / "set")
    stats = json.loads((tmp_path / "set" / "meta/stats.json").read_text())
    rows = pq.read_table(tmp_path / "set" / "data/chunk-000/file-000.parquet")
    action = np.array(rows["action"].to_pylist())
    shown = [frames for side in ("train", "held_out") for frames in frames_of(drives.side(side))]
    pictures = np.concatenate([np.array(own) for own in shown]) / 255
    for kind, of in (("mean", np.mean), ("std", np.std), ("min", np.min), ("max", np.max)):
        assert stats["action"][kind] == pytest.approx(of(action, 0).tolist(), abs=1e-6)
        own = np.array(stats[CAMERA][kind])
        assert own.shape == (3, 1, 1)
        assert own.ravel() == pytest.approx(of(pictures, (0, 1, 2)))
    assert np.array(stats[CAMERA]["q50"]).ravel() == pytest.approx(
        np.median(pictures, (0, 1, 2)), abs=1 / 255
    )


def test_a_set_is_written_as_a_whole_or_not_at_all(drives: Opened, tmp_path: Path) -> None:
    held_out = drives.held_out
    assert isinstance(held_out, EpisodeSource)
    last = Path(held_out.picture(held_out.num_frames - 1).data)
    last.write_bytes(last.read_bytes()[:50])
    with pytest.raises(UserError, match=last.name):
        exported(drives, tmp_path / "set")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("set")]
    PillowImage.fromarray(noise(0, (8, 8))).save(last)
    with pytest.raises(UserError, match="a picture has 8 x 8 pixels and the first one 14 x 10"):
        exported(drives, tmp_path / "set")


class Told:
    """A source whose steps have words and no numbers."""

    name = "told"
    walks = (range(3),)

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        raise IndexError

    def picture(self, frame: int) -> Any:
        raise AssertionError

    def action(self, before: int, after: int) -> str:
        return "action: on"

    def place_of(self, frame: int) -> int:
        return 0


def test_steps_without_numbers_are_refused(drives: Opened) -> None:
    with pytest.raises(UserError, match="knows neither poses nor controls"):
        set_settings({"train": Told()}, None, 0)


def test_a_rate_that_the_format_cannot_say_is_refused(drives: Opened) -> None:
    assert set_settings(both(drives), 7, 0).frames_per_second == 7
    train = drives.train
    assert isinstance(train, EpisodeSource)
    train._per_second = 29.97 / 2
    assert set_settings(both(drives), None, 0).frames_per_second == 15
    train._per_second = 12.5
    with pytest.raises(UserError, match=r"12\.5 frames a second.*--fps"):
        set_settings(both(drives), None, 0)


@pytest.mark.slow
@pytest.mark.skipif(not DRIVE.is_dir(), reason=f"no real drive in {DRIVE}")
def test_a_real_drive_is_the_same_drive_as_a_lerobot_set(tmp_path: Path) -> None:
    coarse = {name: ControlSettings(decimals=3) for name in CAR.controls}  # sets have float32
    form = ActionFormat(controls=coarse)
    settings = CatalogSettings(path=str(DRIVE), task="action_video", held_out_fraction=0.1)
    found = open_sources({"car": settings}, Opening(actions=form))["car"]
    episodes, frames = exported(found, tmp_path / "set")
    back = read_back(tmp_path / "set", form)
    assert back.facts.rows == frames
    own, other = found.held_out, back.held_out
    assert isinstance(own, EpisodeSource)
    assert isinstance(other, EpisodeSource)
    pairs = zip(frames_of(own), frames_of(other), strict=True)
    assert all(np.array_equal(a, b) for one, two in pairs for a, b in zip(one, two, strict=True))
    told = [[s.action(a, b) for w in s.walks for a, b in pairwise(w)] for s in (own, other)]
    assert told[0] == told[1]
    assert episodes == len(found.train.walks) + len(own.walks)
