import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chiasm.documents import Split
from chiasm.errors import UserError
from chiasm.worlds.render import fingerprint, render_worlds
from chiasm.worlds.settings import WorldSettings
from chiasm.worlds.world import World

pytestmark = pytest.mark.slow

TINY = WorldSettings(
    train_maps=2,
    held_out_maps=1,
    views_per_map=3,
    walks_per_map=1,
    frames_per_walk=3,
    video_frames=(2, 3),
    action_video_frames=(2, 3),
)


def test_pictures_do_not_depend_on_processes(train: World, settings: WorldSettings, tmp_path: Path):
    again = render_worlds(settings, Split.TRAIN, tmp_path, num_processes=1)
    np.testing.assert_array_equal(again.frames, train.frames)
    assert again.views == train.views


def test_progress_counts_maps_and_the_cache_is_opened_again(tmp_path: Path):
    calls: list[tuple[int, int]] = []
    render_worlds(TINY, Split.TRAIN, tmp_path, progress=lambda *call: calls.append(call))
    assert calls == [(1, 2), (2, 2)]
    (frames,) = tmp_path.glob("world-train-*/frames.npy")
    written = frames.stat().st_mtime_ns
    calls.clear()
    render_worlds(TINY, Split.TRAIN, tmp_path, progress=lambda *call: calls.append(call))
    assert calls == [(2, 2)]
    assert frames.stat().st_mtime_ns == written


def flip_byte(folder: Path) -> None:
    data = bytearray((folder / "frames.npy").read_bytes())
    data[5000] ^= 255
    (folder / "frames.npy").write_bytes(data)


def cut_views(folder: Path) -> None:
    views = folder / "views.jsonl"
    views.write_bytes(views.read_bytes()[:-40])


def lose_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def garble_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


@pytest.mark.parametrize("damage", [flip_byte, cut_views, lose_manifest, garble_manifest])
def test_a_damaged_cache_is_told_and_rendered_again(
    damage: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    before = np.array(render_worlds(TINY, Split.HELD_OUT, tmp_path).frames)
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    damage(folder)
    with caplog.at_level(logging.WARNING):
        world = render_worlds(TINY, Split.HELD_OUT, tmp_path)
    assert "damaged" in caplog.text
    np.testing.assert_array_equal(world.frames, before)


def test_what_a_killed_run_left_is_replaced(tmp_path: Path):
    name = f"world-held_out-{fingerprint(TINY, Split.HELD_OUT)}"
    left = tmp_path / f"{name}.partial"
    left.mkdir()
    (left / "views-000099.jsonl").write_text("half a li")
    assert len(render_worlds(TINY, Split.HELD_OUT, tmp_path).views) == TINY.frames_per_map
    assert not left.exists()


def test_the_fingerprint_follows_what_the_pictures_depend_on():
    base = fingerprint(TINY, Split.TRAIN)
    assert fingerprint(TINY.model_copy(update={"seed": 1}), Split.TRAIN) != base
    assert fingerprint(TINY.model_copy(update={"train_maps": 3}), Split.TRAIN) != base
    assert fingerprint(TINY.model_copy(update={"held_out_maps": 9}), Split.TRAIN) == base
    assert fingerprint(TINY.model_copy(update={"video_frames": (3, 3)}), Split.TRAIN) == base
    assert fingerprint(TINY, Split.HELD_OUT) != base


def test_a_cache_that_cannot_be_written_is_a_users_mistake(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        render_worlds(TINY, Split.TRAIN, tmp_path / "file" / "cache")


def test_a_world_larger_than_the_disk_is_refused_before_work(tmp_path: Path):
    huge = WorldSettings(train_maps=1_000_000, views_per_map=1_000_000)
    with pytest.raises(UserError, match="free some space"):
        render_worlds(huge, Split.TRAIN, tmp_path)
