import json
import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from pydantic import ValidationError

from chiasm.actions import ActionFormat
from chiasm.data.cameras import PoseSettings
from chiasm.data.navigation import TrajectorySettings, TrajectorySource
from chiasm.data.recorded import RecordedSettings
from chiasm.data.settings import StreamSettings
from chiasm.data.source import Opening
from chiasm.data.sources import open_sources
from chiasm.data.stream import Stream
from chiasm.data.trajectories import read_trajectory
from chiasm.documents import Document, Image, Split, Text
from chiasm.errors import UserError
from chiasm.poses import Pose, compose
from chiasm.vision.cached.gallery import gallery_of

SHARED = Path(__file__).parents[3] / "shared" / "data" / "nav"
LENGTHS = (12, 9, 15, 10, 11, 8)
FORM = ActionFormat(distance_decimals=6, angle_decimals=6)


def walk(seed: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(length, 2)).cumsum(0) * 0.3, rng.normal(size=length).cumsum() * 0.3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Trajectories whose frames show in red whose they are and in green when they were taken."""
    for number, length in enumerate(LENGTHS):
        own = tmp_path / "walks" / f"walk_{number}"
        own.mkdir(parents=True)
        for k in range(length):
            PillowImage.new("RGB", (8, 8), (40 * number, 10 * k, 0)).save(own / f"{k}.png")
        position, yaw = walk(number, length)
        if number % 2:
            content = {"position": position, "yaw": yaw}
            (own / "traj_data.pkl").write_bytes(pickle.dumps(content))
        else:
            content = {"position": position.tolist(), "yaw": yaw.tolist()}
            (own / "traj_data.json").write_text(json.dumps(content))
    return tmp_path / "walks"


def opened(
    folder: Path, split: Split = Split.TRAIN, task: str = "action_video", **own: object
) -> TrajectorySource:
    settings = RecordedSettings.model_validate(
        {
            "task": task,
            "path": str(folder),
            "held_out_fraction": 0.3,
            "trajectories": own,
        }
    )
    source = open_sources({"nav": settings}, Opening(40, FORM))["nav"].side(split)
    assert isinstance(source, TrajectorySource)
    return source


def seen(image: Image) -> tuple[int, int]:
    """(trajectory, number of the frame)."""
    red, green, _ = image.pixels()[0, 0].tolist()
    return red // 40, green // 10


def documents(source: TrajectorySource) -> list[Document]:
    return [source[number] for number in range(len(source))]


@pytest.mark.slow
def test_no_trajectory_is_on_both_sides(folder: Path):
    sides = [
        {
            seen(image)[0]
            for document in documents(opened(folder, split))
            for image in document.images
        }
        for split in Split
    ]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == set(range(len(LENGTHS)))
    assert len(sides[1]) == 2


def test_copies_of_a_recording_are_on_one_side(folder: Path):
    for number in range(len(LENGTHS)):
        (folder / f"copy_{number}").symlink_to(folder / f"walk_{number}")
    sides = [
        {seen(source.picture(frame))[0] for frame in range(source.num_frames)}
        for source in (opened(folder, split) for split in Split)
    ]
    assert not sides[0] & sides[1]


@pytest.mark.slow
@pytest.mark.parametrize("horizon", [(1, 1), (1, 4), (2, 3), (-3, 4)])
@pytest.mark.parametrize("spacing", [1, 2])
def test_actions_lead_from_frame_to_frame(folder: Path, horizon: tuple[int, int], spacing: int):
    source = opened(folder, frames=(2, 3), frame_spacing=spacing, horizon_frames=horizon)
    horizons = set()
    for document in documents(source):
        images, actions = document.spans[::2], document.spans[1::2]
        assert [image.target for image in images] == [False, *[True] * len(actions)]
        assert 2 <= len(images) <= 3
        for before, told, after in zip(images, actions, images[1:], strict=False):
            (number, first), (other, second) = seen(before), seen(after)
            action = FORM.read(told.text)
            horizons.add(action.horizon_frames)
            assert number == other
            assert second - first == action.horizon_frames * spacing
            position, yaw = walk(number, LENGTHS[number])
            poses = [Pose(*position[k], math.degrees(yaw[k])) for k in (first, second)]
            back = compose(poses[0], action.step)
            assert (back.x_metres, back.y_metres) == pytest.approx(position[second], abs=1e-5)
            turned = back.yaw_degrees - poses[1].yaw_degrees
            assert (turned + 180) % 360 - 180 == pytest.approx(0, abs=1e-5)
    assert horizons == {h for h in range(horizon[0], horizon[1] + 1) if h}


def test_inverse_dynamics_shows_both_frames_before_the_action(folder: Path):
    source = opened(folder, task="inverse_dynamics", frames=(2, 2), horizon_frames=(1, 4))
    horizons = set()
    for document in documents(source):
        before, after, told = document.spans
        assert not before.target
        assert not after.target
        (number, first), (other, second) = seen(before), seen(after)
        horizon = FORM.read(told.text).horizon_frames
        assert (other, second) == (number, first + horizon)
        horizons.add(horizon)
    assert horizons == {1, 2, 3, 4}


@pytest.mark.parametrize("spacing", [1, 3])
def test_videos_show_frames_in_order(folder: Path, spacing: int):
    lengths = set()
    for document in documents(opened(folder, task="video", frames=(2, 4), frame_spacing=spacing)):
        assert document.spans[0] == Text("video:")
        assert all(image.target for image in document.images)
        frames = [seen(image) for image in document.images]
        number, first = frames[0]
        assert frames == [(number, first + spacing * k) for k in range(len(frames))]
        lengths.add(len(frames))
    assert lengths == {2, 3, 4}


def test_a_document_is_a_function_of_its_number(folder: Path):
    first, again = opened(folder), opened(folder)
    numbers = np.random.default_rng(0).integers(len(first), size=30).tolist()
    assert [first[k] for k in numbers] == [again[k] for k in reversed(numbers)][::-1]
    variants = {first[k].text for k in range(0, len(first), len(first) // 16)}
    assert len(variants) > 4  # one first frame, other horizons
    with pytest.raises(IndexError):
        first[len(first)]


def test_walks_are_what_an_evaluation_steps_along(folder: Path):
    source = opened(folder, frame_spacing=2, horizon_frames=(2, 3))
    for number, steps in enumerate(source.walks):
        frames = [seen(source.picture(frame)) for frame in steps]
        assert {which for which, _ in frames} == {frames[0][0]}
        assert np.diff([when for _, when in frames]).tolist() == [4] * (len(frames) - 1)
        assert {source.place_of(frame) for frame in steps} == {number}
        assert FORM.read(source.action(steps[0], steps[1])).horizon_frames == 2


def test_a_stream_reads_them_and_skips_what_is_broken(folder: Path, made):
    source = opened(folder)
    source.picture(3).data.write_bytes(b"no picture")
    settings = StreamSettings.model_validate(
        {"sources": {"nav": {"kind": "trajectories", "path": str(folder)}}, "sequence_length": 200}
    )
    stream = Stream(settings, {"nav": source}, made.tokenizer, made.reader, seed=0)
    for _ in range(40):
        next(stream).validate()
    report = stream.report()
    stream.close()
    assert 0 < report.skipped["nav"] < report.documents["nav"] / 2
    assert "cannot be decoded" in report.notes[0]


@pytest.mark.parametrize("task", ["video", "action_video"])
def test_it_says_which_parts_its_frames_play(folder: Path, task: str):
    source = opened(folder, task=task, frames=(2, 3))
    played = {image.target for each in documents(source) for image in each.images}
    assert source.shown_as == played


def test_each_frame_is_encoded_ahead_once(folder: Path):
    """Its many documents show the same frames, whichever they are read for."""
    source = opened(folder)
    gallery = gallery_of({"nav": source})
    shown = [seen(image) for number in range(len(gallery)) for image in gallery.images(number)]
    assert len(shown) == len(set(shown)) == source.num_frames
    assert {seen(image) for each in documents(source) for image in each.images} <= set(shown)


def test_frames_alone_for_a_vision_tokenizer(folder: Path):
    settings = RecordedSettings(path=str(folder), held_out_fraction=0.3)
    opened = settings.open_pictures("nav", Opening(), side=("image_pixels", 8), captioned=False)
    pictures = [opened.train, opened.held_out]
    assert sum(map(len, pictures)) == sum(LENGTHS)
    frames = [seen(next(source[k].images)) for source in pictures for k in range(len(source))]
    assert len(set(frames)) == sum(LENGTHS)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"task": "image_text"}, r"stream\.sources\.nav\.task = 'image_text'.*video, action_video"),
        (
            {"frames": (9, 9)},
            r"walk_\d has \d+ frames, .* 'nav' needs 9; lower trajectories\.frames",
        ),
        ({"frame_spacing": 20}, "needs 21"),
        ({"horizon_frames": (9, 12), "frames": (3, 3)}, "needs 19"),
        ({"largest_step_metres": 0.01}, r"jumps 0\.\d+ m, and trajectories\.largest_step_metres"),
    ],
)
def test_mistakes_name_setting_and_remedy(folder: Path, own: dict, message: str):
    with pytest.raises(UserError, match=message):
        _ = [opened(folder, split, **own) for split in Split]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("frames", (1, 3)),
        ("frames", (4, 3)),
        ("horizon_frames", (0, 4)),
        ("horizon_frames", (-4, -1)),
        ("horizon_frames", (5, 4)),
        ("metres_per_unit", math.inf),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting: str, value: object):
    with pytest.raises(ValidationError, match=setting):
        TrajectorySettings.model_validate({setting: value})


def test_a_single_recording_trains_and_evaluates(folder: Path):
    (folder / "traj_names.txt").write_text("walk_2\n")
    shown: dict[Split, set[int]] = {}
    for split in Split:
        source = opened(folder, split, frames=(2, 2), horizon_frames=(1, 2))
        shown[split] = {seen(image)[1] for each in documents(source) for image in each.images}
        assert "a single recording" in source.notes[0]
    length = LENGTHS[2]
    assert shown[Split.HELD_OUT] == set(range(length - 4, length))
    assert shown[Split.TRAIN] == set(range(length - 6))  # a document reaches two frames on
    with pytest.raises(UserError, match=r"\(frames 11 to 14\) has 4 .* change held_out_fraction"):
        opened(folder, Split.HELD_OUT, frames=(5, 5))
    next((folder / "walk_2").glob("2.*")).unlink()
    with pytest.raises(UserError, match=r"walk_2: frame 2 of .* is missing; add it"):
        opened(folder, Split.TRAIN)


def test_a_source_says_what_it_read_and_what_it_loses(folder: Path):
    source = opened(folder)
    assert re.match(r"4 trajectories, \d\d frames \(.*traj_data\.", source.side.summary)
    assert not source.notes
    both = open_sources({"nav": RecordedSettings(task="video", path=str(folder))}, Opening(40))[
        "nav"
    ]
    sides = re.findall(r"(\w[\w ]*): (\d) trajector\w+, (\d+) frames", both.facts.notes[0])
    assert [name for name, *_ in sides] == ["training", "held out"]
    assert sum(int(frames) for *_, frames in sides) == both.facts.rows
    for number, own in enumerate(folder.glob("walk_*")):  # 4 mm from frame to frame
        content = {"position": [[0.004 * k, number] for k in range(40)], "yaw": [0.0] * 40}
        (own / "traj_data.pkl").unlink(missing_ok=True)
        (own / "traj_data.json").write_text(json.dumps(content))
        for k in range(40):
            PillowImage.new("RGB", (8, 8)).save(own / f"{k}.png")
    settings = RecordedSettings.model_validate(
        {
            "task": "action_video",
            "path": str(folder),
            "trajectories": {"horizon_frames": (1, 1)},
        }
    )
    coarse = open_sources({"nav": settings}, Opening(40))["nav"].train
    assert isinstance(coarse, TrajectorySource)
    assert "100% of the actions of source nav are written as no distance" in coarse.notes[-1]
    assert "raise actions.distance_decimals to 3" in coarse.notes[-1]
    video = settings.model_copy(update={"task": "video"})
    silent = open_sources({"nav": video}, Opening(40))["nav"].train
    assert isinstance(silent, TrajectorySource)
    assert not silent.notes


@pytest.mark.parametrize("task", ["video", "action_video"])
def test_real_trajectories_open(task: str, made):
    if not SHARED.exists():
        pytest.skip("the real data of the trials is not beside this checkout")
    sources = {split: opened(SHARED, split, task) for split in Split}
    assert sum(source.num_frames for source in sources.values()) == 720 + 3 * 150 + 16 * 100
    settings = StreamSettings.model_validate(
        {"sources": {"nav": {"kind": "trajectories", "path": str(SHARED)}}, "sequence_length": 200}
    )
    stream = Stream(settings, {"nav": sources[Split.TRAIN]}, made.tokenizer, made.reader, seed=0)
    for _ in range(3):
        next(stream).validate()
    assert stream.report().skipped == {"nav": 0}
    stream.close()


def test_real_camera_poses_agree_with_their_own_yaw():
    """The file carries a yaw beside its quaternions, computed by those who made it."""
    if not SHARED.exists():
        pytest.skip("the real data of the trials is not beside this checkout")
    own = SHARED / "tum_fr1_rpy"
    rows = [json.loads(line) for line in (own / "poses.jsonl").read_text().splitlines()]
    yaw = np.radians(read_trajectory(own, PoseSettings()).poses_T3[:, 2])
    assert np.cos(yaw - [row["yaw"] for row in rows]) == pytest.approx(1.0)
