"""The last stamp of a file, and files that end early."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from chiasm.video.errors import VideoError
from chiasm.video.extent import read_extent

FRAGMENTED = {"container": {"movflags": "frag_keyframe+empty_moov"}}
VP9 = {"codec": "libvpx-vp9", "options": {"g": "15", "deadline": "realtime", "cpu-used": "8"}}

FILES = {
    "plain.mp4": {},
    "front.mp4": {"container": {"movflags": "faststart"}},
    "fragmented.mp4": FRAGMENTED,
    "sound.mp4": {"sound": True, "container": {"movflags": "faststart"}},
    "plain.mkv": {},
    "sound.mkv": {"sound": True},
    "plain.webm": VP9,
    "plain.ts": {},
    "sound.ts": {"sound": True},
    "plain.mpg": {"codec": "mpeg2video", "options": {"g": "15", "bf": "2"}},
    "plain.flv": {},
    "plain.avi": {"codec": "mpeg4"},
}


@pytest.mark.parametrize("name", FILES)
def test_frames_are_counted_and_cut_off_files_are_noticed(name: str, films, tmp_path: Path) -> None:
    file = films.write(tmp_path / name, noise(), **FILES[name])
    extent = read_extent(file)
    assert len(extent.ticks_F) == 60
    assert extent.ticks_F[0] == 0
    assert abs(extent.last - Fraction(59, 30)) <= Fraction(1, 1000) or name == "sound.mp4"
    for share in (0.5, 0.8):
        with pytest.raises(VideoError, match="cut off") as caught:
            read_extent(films.cut(file, share))
        assert caught.value.reason == "cut off"


@pytest.mark.parametrize("name", ["plain.ts", "plain.mpg"])
def test_a_stream_that_ends_within_a_picture_is_noticed(name: str, films, tmp_path: Path) -> None:
    """Where its packets are whole; the header of such a file knows of no end."""
    file = films.write(tmp_path / name, noise(), **FILES[name])
    packets = file.stat().st_size // 188
    with pytest.raises(VideoError, match="cut off"):
        read_extent(films.cut(file, 188 * (packets // 2) / file.stat().st_size))


def test_a_file_with_a_varying_rate_is_whole(films, tmp_path: Path) -> None:
    stamps = [0, 40, 80, 520, 1000, 3000]
    for name in ("a.mp4", "a.mkv"):
        extent = read_extent(films.write(tmp_path / name, 6, stamps=stamps, rate=25))
        assert [tick * extent.time_base * 1000 for tick in extent.ticks_F.tolist()] == stamps


def test_frames_that_are_hours_apart_are_refused(films, tmp_path: Path) -> None:
    """As of a damaged stamp, after which years of clips would follow."""
    file = films.write(tmp_path / "a.mkv", 3, stamps=[0, 40, 4_000_000])
    with pytest.raises(VideoError, match="time stamps hours apart"):
        read_extent(file)


def test_key_frames_are_those_with_which_decoding_may_begin(films, tmp_path: Path) -> None:
    for name in ("plain.mp4", "plain.mkv", "plain.ts", "plain.webm"):
        extent = read_extent(films.write(tmp_path / name, 60, **FILES[name]))
        times = [round(30 * tick * extent.time_base) for tick in extent.key_ticks_K.tolist()]
        assert times == [0, 15, 30, 45], name


def test_sound_that_goes_on_does_not_make_a_video_cut_off(films, tmp_path: Path) -> None:
    file = films.write(tmp_path / "a.mkv", 2, rate=1, sound=True)
    assert read_extent(file).last == 1


def noise() -> Iterator[av.VideoFrame]:
    """60 pictures that take several packets each."""
    random = np.random.default_rng(0)
    for _ in range(60):
        pixels = random.integers(0, 256, (64, 96, 3), dtype=np.uint8)
        yield av.VideoFrame.from_ndarray(pixels, format="rgb24")
