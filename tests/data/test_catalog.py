"""Catalogs of pictures with controls, made here; and the real drive, where it is.

Every picture says its session (red) and its number in it (green), and steering is a hundredth of
the number.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as PillowImage

from chiasm.actions import ActionFormat
from chiasm.controls import ControlSettings
from chiasm.data.episode_source import EpisodeSource
from chiasm.data.robots import CatalogSettings
from chiasm.data.source import Opened, Opening
from chiasm.data.sources import open_sources
from chiasm.documents import Image
from chiasm.errors import UserError

DRIVE = Path(__file__).parents[3] / "shared" / "data" / "drive" / "donkey_track"
CAR = ActionFormat(
    controls={
        "steering": ControlSettings(range=(-1, 1)),
        "throttle": ControlSettings(range=(0, 1)),
    }
)


def pixels(session: int, number: int) -> np.ndarray:
    return np.full((8, 12, 3), (40 * session, 5 * number, 0), np.uint8)


def seen(picture: Image) -> tuple[int, int]:
    red, green, _ = picture.pixels()[0, 0].tolist()
    return red // 40, green // 5


def drive(folder: Path, lengths: Sequence[int] = (12, 9, 15)) -> list[dict[str, Any]]:
    """Pictures of some drives at 20 a second, and their rows."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for session, length in enumerate(lengths):
        for number in range(length):
            name = f"images/{session}_{number}.png"
            PillowImage.fromarray(pixels(session, number)).save(folder / name)
            time = 1_706_111_016_000 + 100_000 * session + 50 * number + number % 3
            row = {"image": name, "timestamp_ms": time, "steering": number / 100}
            rows.append(row | {"throttle": 0.5, "session": f"drive {session}"})
    return rows


def written(folder: Path, rows: Sequence[dict[str, Any]], name: str = "catalog.jsonl") -> Path:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def opened(path: Path, **own: Any) -> Opened:
    content = {"path": str(path), "task": "action_video", "held_out_fraction": 0.34} | own
    settings = CatalogSettings.model_validate(content)
    return open_sources({"car": settings}, Opening(actions=CAR))["car"]


def sides(found: Opened) -> tuple[EpisodeSource, EpisodeSource]:
    assert isinstance(found.train, EpisodeSource)
    assert isinstance(found.held_out, EpisodeSource)
    return found.train, found.held_out


def walks(found: Opened) -> list[list[tuple[int, int]]]:
    """(session, number) of the frames of each walk, after its actions were compared with them."""
    told = []
    for source in sides(found):
        for walk in source.walks:
            told.append([seen(source.picture(frame)) for frame in walk])
            for frame in walk[:-1]:
                steering = seen(source.picture(frame))[1] / 100
                text = source.action(frame, frame + walk.step)
                assert text == f"action: steering={steering:+.2f} throttle=0.50"
    return sorted(told)


def whole(*stretches: tuple[int, int, int]) -> list[list[tuple[int, int]]]:
    return [[(session, k) for k in range(first, last)] for session, first, last in stretches]


def test_rows_are_the_frames_of_their_sessions(tmp_path: Path) -> None:
    found = opened(written(tmp_path, drive(tmp_path)))
    assert walks(found) == whole((0, 0, 12), (1, 0, 9), (2, 0, 15))
    train, held_out = sides(found)
    assert (len(train.episodes), len(held_out.episodes)) == (2, 1)
    assert train.frames_per_second == pytest.approx(20, rel=0.03)
    line = found.facts.line("car")
    assert "controls: steering (-1 to 1), throttle (0 to 1)" in line
    assert "throttle is always 0.5" in line


def test_order_is_that_of_time_and_not_of_rows(tmp_path: Path) -> None:
    rows = drive(tmp_path)
    np.random.default_rng(0).shuffle(rows)  # type: ignore[arg-type]
    assert walks(opened(written(tmp_path, rows))) == whole((0, 0, 12), (1, 0, 9), (2, 0, 15))


@pytest.mark.parametrize("form", ["csv", "parquet with bytes", "seconds"])
def test_other_tables_say_the_same(form: str, tmp_path: Path) -> None:
    rows = drive(tmp_path)
    if form == "csv":
        lines = [",".join(map(str, row.values())) for row in rows]
        (tmp_path / "log.csv").write_text("\n".join([",".join(rows[0]), *lines]) + "\n")
    elif form == "seconds":
        for row in rows:
            row["timestamp"] = row.pop("timestamp_ms") / 1000
        written(tmp_path, rows)
    else:
        for row in rows:
            row["image"] = {"bytes": (tmp_path / row["image"]).read_bytes(), "path": None}
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "log.parquet")
        for file in (tmp_path / "images").iterdir():
            file.unlink()
    assert walks(opened(tmp_path)) == whole((0, 0, 12), (1, 0, 9), (2, 0, 15))


def test_nothing_leads_across_a_gap_in_time(tmp_path: Path) -> None:
    rows = drive(tmp_path)
    del rows[5]  # one picture that was not taken: twice the usual interval
    found = opened(written(tmp_path, rows))
    assert walks(found) == whole((0, 0, 5), (0, 6, 12), (1, 0, 9), (2, 0, 15))
    assert "1 gap at which an episode ends: 4 episodes" in found.facts.line("car")
    across = opened(tmp_path, largest_gap=2.5)
    assert next(own for own in walks(across) if own[0] == (0, 0))[4:6] == [(0, 4), (0, 6)]


def test_a_slower_session_has_longer_intervals(tmp_path: Path) -> None:
    rows = drive(tmp_path)
    for number, row in enumerate(rows[21:]):
        row["timestamp_ms"] += 150 * number
    found = opened(written(tmp_path, rows))
    assert walks(found) == whole((0, 0, 12), (1, 0, 9), (2, 0, 15))
    assert "so that one step is not like another" in found.facts.line("car")


def test_nor_across_a_row_that_cannot_be_used(tmp_path: Path) -> None:
    rows = drive(tmp_path)
    (tmp_path / rows[3]["image"]).unlink()
    (tmp_path / rows[14]["image"]).write_bytes(b"")
    rows[30]["timestamp_ms"] = "soon"
    found = opened(written(tmp_path, rows), largest_gap=100)
    assert walks(found) == whole(
        (0, 0, 3), (0, 4, 12), (1, 0, 2), (1, 3, 9), (2, 0, 9), (2, 10, 15)
    )
    assert found.facts.skipped == {
        "picture file missing": 1,
        "picture file empty": 1,
        "time missing or no number": 1,
    }


def test_a_step_that_cannot_be_written_leads_nowhere(tmp_path: Path) -> None:
    rows = drive(tmp_path)
    rows[3]["steering"] = float("nan")
    rows[7]["throttle"] = 1.2
    rows[13]["steering"] = None
    found = opened(written(tmp_path, rows))
    # What was given at the last frame of a walk is not needed: frames 3 and 7 end walks.
    assert walks(found) == whole((0, 0, 4), (0, 4, 8), (0, 8, 12), (1, 0, 2), (1, 2, 9), (2, 0, 15))
    assert found.facts.skipped == {
        "steering is missing or not finite": 2,
        "throttle outside actions.controls.throttle.range": 1,
    }


def test_sessions_are_held_out_whole(tmp_path: Path) -> None:
    train, held_out = sides(opened(written(tmp_path, drive(tmp_path, (6, 7, 8, 9, 6, 5)))))
    own, other = ({episode.group for episode in side.episodes} for side in (train, held_out))
    assert not own & other
    assert (len(own), len(other)) == (4, 2)


def test_the_end_of_a_single_session_is_held_out_after_a_gap(tmp_path: Path) -> None:
    found = opened(written(tmp_path, drive(tmp_path, (40,))), held_out_fraction=0.25)
    assert walks(found) == whole((0, 0, 27), (0, 30, 40))
    assert "frames 0 to 26 are trained on and 30 to 39 held out" in found.facts.line("car")


def test_files_that_are_called_so_are_held_out(tmp_path: Path) -> None:
    rows = drive(tmp_path)
    written(tmp_path, rows[:21], "train.jsonl")
    written(tmp_path, rows[21:], "val.jsonl")
    train, held_out = sides(opened(tmp_path))
    assert {seen(held_out.picture(n))[0] for n in range(held_out.num_frames)} == {2}
    assert {seen(train.picture(n))[0] for n in range(train.num_frames)} == {0, 1}


def test_a_session_on_both_paths_is_not_trained_on(tmp_path: Path) -> None:
    rows = drive(tmp_path)
    path = written(tmp_path, rows, "all.jsonl") / "all.jsonl"
    other = written(tmp_path, rows[:12], "some.jsonl") / "some.jsonl"
    found = opened(path, held_out_path=str(other))
    assert [seen(own.picture(0))[0] for own in sides(found)] == [1, 0]
    assert "1 of 3 episodes are held out too" in found.facts.line("car")
    with pytest.raises(UserError, match="every episode to train on is held out too"):
        opened(other, held_out_path=str(path))


def tub(folder: Path, lengths: Sequence[int] = (12, 9)) -> Path:
    """A tub as Donkey cars write it, of two catalogs, with two rows deleted."""
    rows = drive(folder, lengths)
    records = [
        {
            "_index": index,
            "_session_id": row["session"],
            "_timestamp_ms": row["timestamp_ms"],
            "cam/image_array": Path(row["image"]).name,
            "user/angle": row["steering"],
            "user/mode": "user",
            "user/throttle": row["throttle"],
        }
        for index, row in enumerate(rows)
    ]
    written(folder, records[:10], "catalog_0.catalog")
    written(folder, records[10:], "catalog_1.catalog")
    (folder / "catalog_0.catalog_manifest").write_text(json.dumps({"start_index": 0}))
    last = {"paths": ["catalog_0.catalog", "catalog_1.catalog"], "deleted_indexes": [4, 13]}
    manifest = [["cam/image_array", "user/angle"], ["image_array", "float"], {}, {}, last]
    (folder / "manifest.json").write_text("".join(json.dumps(own) + "\n" for own in manifest))
    return folder


def test_a_tub_of_a_donkey_car_is_read_as_it_is(tmp_path: Path) -> None:
    own = {"steering": {"column": "user/angle"}, "throttle": {"column": "user/throttle"}}
    found = opened(tub(tmp_path / "tub"), controls=own)
    assert walks(found) == whole((0, 0, 4), (0, 5, 12), (1, 2, 9))
    assert found.facts.skipped == {"deleted in the tub": 2}
    with pytest.raises(UserError, match=r"car\.controls\.steering\.column.*user/angle"):
        opened(tmp_path / "tub")
    tub(tmp_path / "tub_2", (6,))
    assert "2 tubs" in opened(tmp_path, controls=own).facts.line("car")


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ('{"paths": "catalog_0.catalog"}', "paths or deleted_indexes are no lists"),
        ('{"paths": ["catalog_0.catalog"], "deleted_indexes": [{}]}', "deleted_indexes are no"),
        ('{"paths": ["catalog_9.catalog"]}', r"names catalog_9\.catalog, which is missing"),
        ('{"paths": [', "is no JSON"),
    ],
)
def test_a_damaged_manifest_of_a_tub_is_told(last: str, told: str, tmp_path: Path) -> None:
    with (tub(tmp_path / "tub") / "manifest.json").open("a") as file:
        file.write(last)
    with pytest.raises(UserError, match=rf"car\.path = .*manifest\.json.*{told}"):
        opened(tmp_path / "tub")


def test_odd_cells_of_a_tub_take_their_rows(tmp_path: Path) -> None:
    """Numbers that are none, and names that are longer than a name may be."""
    file = tub(tmp_path / "tub") / "catalog_1.catalog"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[0] |= {"_index": [], "cam/image_array": "x" * 300}
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = {"steering": {"column": "user/angle"}, "throttle": {"column": "user/throttle"}}
    found = opened(tmp_path / "tub", controls=own)
    assert found.facts.skipped == {"deleted in the tub": 2, "picture file missing": 1}


def test_two_cameras_in_one_table_are_told_apart(tmp_path: Path) -> None:
    rows = drive(tmp_path, (12, 9))
    both = [row | {"camera": name} for row in rows for name in ("left", "right")]
    with pytest.raises(UserError, match=r"car\.time_column.*session_column"):
        opened(written(tmp_path, both))


def test_without_times_rows_follow_each_other(tmp_path: Path) -> None:
    rows = drive(tmp_path)
    for row in rows:
        del row["timestamp_ms"]
    (tmp_path / rows[3]["image"]).unlink()
    found = opened(written(tmp_path, rows))
    assert walks(found) == whole((0, 0, 3), (0, 4, 12), (1, 0, 9), (2, 0, 15))
    assert sides(found)[0].frames_per_second is None
    assert "no column of times" in found.facts.line("car")


@pytest.mark.parametrize(
    ("own", "complaint"),
    [
        ({"controls": {"steering": {"column": "angle"}}}, "choose one of: image, timestamp_ms"),
        ({"image_column": "photo"}, "photo"),
        ({"time_column": "when"}, "when"),
        ({"frames": (90, 99)}, "a document needs 90"),
    ],
)
def test_a_wrong_setting_is_told(own: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    written(tmp_path, drive(tmp_path))
    with pytest.raises(UserError, match=complaint):
        opened(tmp_path, **own)


def test_a_wrong_range_is_told_when_most_rows_are_outside(tmp_path: Path) -> None:
    rows = [row | {"steering": 100 + n} for n, row in enumerate(drive(tmp_path))]
    with pytest.raises(UserError, match=r"36 of 36 .* outside actions\.controls\.steering\.range"):
        opened(written(tmp_path, rows))


def test_a_run_without_controls_is_told_how_to_name_them(tmp_path: Path) -> None:
    settings = CatalogSettings(path=str(written(tmp_path, drive(tmp_path))), task="action_video")
    with pytest.raises(UserError, match=r"\[actions\.controls\] steering = "):
        open_sources({"car": settings}, Opening())
    video = settings.model_copy(update={"task": "video"})
    assert len(open_sources({"car": video}, Opening())["car"].train)


def test_pictures_in_rows_are_not_read_before_they_are_asked_for(tmp_path: Path) -> None:
    """A broken one takes its documents and nothing else."""
    rows = drive(tmp_path)
    for number, row in enumerate(rows):
        content = (tmp_path / row["image"]).read_bytes()
        row["image"] = content if number != 5 else content[:40]
    folder = tmp_path / "table"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "log.parquet")
    found = opened(folder)
    broken = 0
    for source in sides(found):
        for frame in range(source.num_frames):
            try:
                source.picture(frame).pixels()
            except UserError:
                broken += 1
    assert broken == 1


@pytest.mark.skipif(not DRIVE.is_dir(), reason=f"no real drive in {DRIVE}")
def test_a_real_drive_is_read_as_it_was_recorded() -> None:
    rows = [json.loads(line) for line in (DRIVE / "catalog.jsonl").read_text().splitlines()]
    found = opened(DRIVE, held_out_fraction=0.1)
    assert found.facts.rows == len(rows) == 2892
    assert not found.facts.skipped
    assert sides(found)[0].frames_per_second == pytest.approx(20)
    by_name = {Path(row["image"]).name: row for row in rows}
    for source in sides(found):
        for walk in source.walks:
            names = [Path(source.picture(frame).data).name for frame in walk]
            own = [by_name[name] for name in names]
            times = np.diff([row["timestamp_ms"] for row in own])
            assert (times > 0).all()
            assert (times <= 75).all()
            for frame, row in zip(walk[:-1], own, strict=False):
                text = f"steering={row['steering'] + 0.0:+.2f} throttle={row['throttle'] + 0.0:.2f}"
                assert source.action(frame, frame + 1) == f"action: {text}".replace(
                    "-0.00", "+0.00"
                )
