"""The metadata of LeRobot sets: versions, features, tasks, episodes and sides."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lerobot_sets import BOTH, FRONT, RATE, WRIST, Made, make, opened, sides, walked

from chiasm.errors import UserError


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


@pytest.mark.parametrize("version", ["v3.0", "v2.1"])
def test_tasks_are_texts_and_their_numbers_may_be_fractions(version: str, tmp_path: Path) -> None:
    made = Made(version=version, tasks=(1.5, "put it down"), task_index=np.float64)
    if version == "v3.0":
        made = replace(made, tasks=(1.5, 2.0))
    first = sides(opened(make(tmp_path / "set", made), task="video"))
    texts = {own[n].text for own in first for n in range(len(own))}
    assert texts == {"video: 1.5", "video: 2.0" if version == "v3.0" else "video: put it down"}


def test_a_table_of_tasks_without_texts_is_no_error(tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made())
    pq.write_table(pa.table({"task_index": [0, 1]}), root / "meta/tasks.parquet")
    assert sides(opened(root, task="video"))[0][0].text == "video:"


def test_without_ends_an_episode_ends_where_the_next_one_begins(tmp_path: Path) -> None:
    root = make(tmp_path / "set", Made(shorter={1: 1}))
    for file in sorted((root / "meta/episodes").rglob("*.parquet")):
        table = pq.read_table(file)
        pq.write_table(table.drop_columns([f"videos/{FRONT}/to_timestamp"]), file)
    found = opened(root)
    assert set(walked(found)) == {0, 2, 3, 4, 5}
    assert found.facts.skipped == {"video shorter than its rows": 9}


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
