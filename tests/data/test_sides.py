import json
from pathlib import Path

import numpy as np
import pytest

from chiasm.data.cameras import PoseSettings
from chiasm.data.recorded import RecordedSettings
from chiasm.data.sides import Side, find_trajectories, read_side
from chiasm.documents import Split
from chiasm.errors import UserError


def walk(folder: Path, seed: int, length: int = 6) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    content = {"position": rng.normal(size=(length, 2)).tolist(), "yaw": [0.1] * length}
    (folder / "traj_data.json").write_text(json.dumps(content))
    for number in range(length):
        (folder / f"{number}.jpg").write_bytes(b"")
    return folder


def side(
    path: Path, split: Split, held_out_path: str = "", fraction: float = 0.3, gap: int = 3
) -> Side:
    source = RecordedSettings(
        path=str(path), held_out_fraction=fraction, held_out_path=held_out_path
    )
    return read_side(source, PoseSettings(), gap, split)


def names(path: Path, **own) -> tuple[set[str], set[str]]:
    train, held_out = (side(path, split, **own) for split in (Split.TRAIN, Split.HELD_OUT))
    return tuple({t.folder.name for t in s.trajectories} for s in (train, held_out))  # type: ignore


def test_a_folder_of_its_own_may_be_held_out(tmp_path: Path):
    for n in range(3):
        walk(tmp_path / "a" / f"train_{n}", n)
    walk(tmp_path / "b" / "other", 9)
    there = str(tmp_path / "b")
    assert names(tmp_path / "a", held_out_path=there) == (
        {"train_0", "train_1", "train_2"},
        {"other"},
    )
    walk(tmp_path / "b" / "again", 1)  # train_1 under another name
    assert names(tmp_path / "a", held_out_path=there) == (
        {"train_0", "train_2"},
        {"other", "again"},
    )
    told = side(tmp_path / "a", Split.TRAIN, there).notes
    assert any("1 of 3 trajectories are held out too and are left out" in note for note in told)
    with pytest.raises(UserError, match="every trajectory to train on is held out too"):
        side(tmp_path / "a", Split.TRAIN, str(tmp_path / "a"))
    with pytest.raises(UserError, match=r"^held_out_path = '.*none' is not there"):
        side(tmp_path / "a", Split.TRAIN, str(tmp_path / "none"))


@pytest.mark.parametrize("held_out", ["test", "val"])
def test_the_fields_split_is_recognised(tmp_path: Path, held_out: str):
    for n, name in enumerate(("train/a", "train/b", f"{held_out}/c")):
        walk(tmp_path / name, n)
    assert names(tmp_path) == ({"a", "b"}, {"c"})
    (told,) = side(tmp_path, Split.TRAIN).notes
    assert told.endswith(f"/{held_out}, as the folder has it")
    walk(tmp_path / "held_out" / "e", 5)
    assert names(tmp_path) == ({"a", "b"}, {"c"})
    (told,) = side(tmp_path, Split.TRAIN).notes
    assert told.endswith(f"/{held_out}, as the folder has it; not read: held_out")
    walk(tmp_path / "d", 4)
    with pytest.raises(UserError, match="beside them trajectories such as 'd'"):
        side(tmp_path, Split.TRAIN)


@pytest.mark.parametrize("place", ["data_splits/walks", "data_splits", "."])
def test_lists_of_names_split_as_gnm_does(tmp_path: Path, place: str):
    root = tmp_path / "walks"
    for n, name in enumerate("abcd"):
        walk(root / name, n)
    for name, listed in (("train", "a\r\nc\r\n"), ("test", "\ufeffd\n")):
        file = root / place / name / "traj_names.txt"
        file.parent.mkdir(parents=True)
        file.write_text(listed, encoding="utf-8")
    assert names(root) == ({"a", "c"}, {"d"})
    (root / place / "test" / "traj_names.txt").write_text("e\n")
    with pytest.raises(UserError, match=r"traj_names\.txt lists 'e'"):
        side(root, Split.TRAIN)


def test_a_single_recording_is_cut_at_its_end(tmp_path: Path):
    walk(tmp_path / "long", 0, 50)
    train, held_out = (side(tmp_path, split) for split in (Split.TRAIN, Split.HELD_OUT))
    shown = [[int(file.stem) for file in s.trajectories[0].files] for s in (train, held_out)]
    assert shown == [list(range(32)), list(range(35, 50))]
    assert len(train.trajectories[0].poses_T3) == 32
    assert train.notes == held_out.notes
    assert "a single recording: frames 0 to 31 are trained on and 35 to 49 held" in train.notes[0]
    assert names(tmp_path / "long") == ({"long"}, {"long"})  # the folder itself may be given
    (tmp_path / "copy").symlink_to(tmp_path / "long")
    assert [s.notes[0].count("2 copies") for s in (side(tmp_path, Split.TRAIN),)] == [1]


def test_a_gap_leaves_most_of_a_short_recording(tmp_path: Path):
    walk(tmp_path / "short", 0, 12)
    sides = [side(tmp_path, split, gap=500) for split in (Split.TRAIN, Split.HELD_OUT)]
    assert [len(s.trajectories[0]) for s in sides] == [6, 4]
    walk(tmp_path / "a" / "tiny", 0, 3)
    with pytest.raises(UserError, match="is the only recording and has 3 frames"):
        side(tmp_path / "a", Split.TRAIN)


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_neither_side_is_ever_empty(tmp_path: Path, fraction: float):
    for n in range(3):
        walk(tmp_path / f"{n}", n)
    train, held_out = names(tmp_path, fraction=fraction)
    assert train
    assert held_out
    assert not train & held_out


def test_what_lies_about_is_no_trajectory(tmp_path: Path):
    walk(tmp_path / "a", 0)
    for name in (".ipynb_checkpoints", "__MACOSX", ".a"):
        walk(tmp_path / name, 1)
    assert [folder.name for folder in find_trajectories(str(tmp_path))] == ["a"]


def test_a_folder_one_too_high_is_told(tmp_path: Path):
    walk(tmp_path / "data" / "a", 0)
    with pytest.raises(UserError, match=r"holds no trajectories; 'data' in it does: give '.*data'"):
        find_trajectories(str(tmp_path))


def test_a_side_says_what_was_read(tmp_path: Path):
    for n in range(2):
        walk(tmp_path / f"{n}", n, 1000)
    assert side(tmp_path, Split.TRAIN).summary == "1 trajectory, 1,000 frames (traj_data.json)"
