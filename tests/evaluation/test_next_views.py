import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from chiasm.data import ImageShape, SourceSettings, build_sources
from chiasm.evaluation import Material, evaluate
from chiasm.evaluation.next_views import _others, _steps
from chiasm.worlds import Split

SHAPE = ImageShape(32, 32, 2, 2)


def test_moments_follow_each_other_in_one_walk(material):
    source = material.held_out["action_video"]
    world = source.world
    steps = _steps(source, 12, 2, SHAPE)
    moments = [walk[end - 2 : end + 1] for walk in world.walks for end in range(2, len(walk))]
    for history, actions, truth in zip(steps.history, steps.actions, steps.truth, strict=True):
        # A walker who turns back sees the same picture twice, so pictures alone do not tell when.
        assert any(
            np.array_equal(world.frames[moment], np.stack([*history, truth]))
            and actions == [source.action(a, b) for a, b in pairwise(moment)]
            for moment in moments
        )


def test_shuffled_actions_come_from_other_maps(material):
    steps = _steps(material.held_out["action_video"], 12, 2, SHAPE)
    others = _others(len(steps.actions))
    assert sorted(others) == list(range(12))
    assert (steps.clusters[others] != steps.clusters).all()


@pytest.fixture
def recorded(tmp_path: Path) -> Material:
    """Four straight walks of eight frames, half of them held out."""
    rng = np.random.default_rng(0)
    for number in range(4):
        folder = tmp_path / f"walk_{number}"
        folder.mkdir()
        for k in range(8):
            pixels = rng.integers(0, 255, (24, 40, 3), dtype=np.uint8)
            PillowImage.fromarray(pixels).save(folder / f"{k}.png")
        content = {"position": [[number + 0.5 * k, 0] for k in range(8)], "yaw": [0] * 8}
        (folder / "traj_data.json").write_text(json.dumps(content))
    settings = SourceSettings(
        kind="trajectories", task="action_video", path=str(tmp_path), held_out_fraction=0.5
    )
    return Material(*(build_sources({"walks": settings}, split, 160) for split in Split))


def test_recorded_walks_are_measured_as_those_of_the_world(pretrained, recorded, settings):
    evaluation = evaluate(pretrained, recorded, settings)
    assert set(evaluation.skipped) == {"caption to picture", "questions"}
    rows = [row for row in evaluation.rows if row.section == "next view"]
    assert {row.baseline_name for row in rows if row.headline} == {
        "last frame, decoded",
        "shuffled actions",
    }
    assert {row.num_clusters for row in rows} == {2}, "trajectories, which are the clusters"
    [shown, *_] = [sample for sample in evaluation.samples if sample.section == "next view"]
    assert shown.lines == (("", "action: dx=+0.50 dy=+0.00 dyaw=+0"),)


def test_a_second_source_has_rows_of_its_own(pretrained, recorded, material, settings):
    both = Material(
        {**recorded.train, **material.train}, {**recorded.held_out, **material.held_out}
    )
    assert list(both.action_videos()) == ["action_video", "walks"]
    names = {row.name for row in evaluate(pretrained, both, settings).rows}
    assert {"PSNR of the imagined next view", "PSNR of the imagined next view, walks"} <= names


def test_walks_too_short_for_the_history_are_skipped_with_the_reason(
    pretrained, recorded, settings
):
    long = settings.model_copy(update={"history_frames": 8})
    evaluation = evaluate(pretrained, recorded, long)
    assert "history_frames = 8 is as long as every held-out walk" in evaluation.skipped["next view"]
    assert any(row.section == "flow loss" for row in evaluation.rows)


def test_a_broken_frame_takes_its_moments_alone(pretrained, recorded, settings):
    source = recorded.held_out["walks"]
    whole = len(_steps(source, 100, 2, SHAPE).actions)
    source.picture(3).data.write_bytes(b"no picture")
    assert len(_steps(source, 100, 2, SHAPE).actions) == whole - 3
