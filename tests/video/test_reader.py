"""The frame at a time is the right one in every container, in order and after a seek."""

import gc
import os
import random
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from chiasm.video.errors import VideoError
from chiasm.video.extent import read_extent
from chiasm.video.reader import VideoReader

VP9 = {
    "codec": "libvpx-vp9",
    "options": {"g": "15", "deadline": "realtime", "cpu-used": "8", "lag-in-frames": "8"},
}
MPEG = {"g": "15", "bf": "2"}

FILES = {
    "plain.mp4": {},
    "fragmented.mp4": {"container": {"movflags": "frag_keyframe+empty_moov"}},
    "no-edit-list.mp4": {"container": {"use_editlist": "0"}},
    "sound.mp4": {"sound": True},
    "open.mp4": {"options": {"x264-params": "keyint=15:open-gop=1:bframes=3:scenecut=0"}},
    "refreshed.mp4": {"options": {"x264-params": "keyint=40:intra-refresh=1:bframes=0"}},
    "long.mkv": {"options": {"x264-params": "keyint=250:scenecut=0"}},
    "plain.mkv": {},
    "plain.webm": VP9,
    "plain.ts": {},
    "refreshed.ts": {"options": {"x264-params": "keyint=20:intra-refresh=1:bframes=0"}},
    "plain.mpg": {"codec": "mpeg2video", "options": MPEG},
    "plain.flv": {},
    "h264.avi": {},
    "mpeg4.avi": {"codec": "mpeg4", "options": MPEG},
    "plain.mov": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
}


@pytest.fixture(scope="module")
def written(films, tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return {name: films.write(folder / name, **how) for name, how in FILES.items()}


@pytest.mark.parametrize("name", FILES)
def test_every_frame_is_at_its_time(name: str, films, written) -> None:
    reader = VideoReader(written[name])
    shown = [films.number(rgb(reader.at(Fraction(n, 30)))) for n in range(60)]
    assert shown == list(range(60))


@pytest.mark.parametrize("name", FILES)
def test_frames_in_any_order_are_the_same(name: str, films, written) -> None:
    reader = VideoReader(written[name])
    order = [59, 0, 1, *random.Random(0).sample(range(60), 30)]
    assert [films.number(rgb(reader.at(Fraction(n, 30)))) for n in order] == order


@pytest.mark.parametrize("name", FILES)
def test_a_time_between_two_stamps_shows_the_nearer_frame(name: str, films, written) -> None:
    reader = VideoReader(written[name])
    shown = [films.number(rgb(reader.at(Fraction(n, 8)))) for n in range(16)]
    assert shown == [0, 4, 7, 11, 15, 19, 22, 26, 30, 34, 37, 41, 45, 49, 52, 56]


def test_a_frame_stays_until_the_next_one_where_the_rate_varies(films, tmp_path: Path) -> None:
    stamps = [0, 40, 80, 520, 530, 1000, 3000]
    for name in ("a.mp4", "a.mkv"):
        file = films.write(tmp_path / name, 7, stamps=stamps, rate=25, options={"bf": "0"})
        reader = VideoReader(file)
        wanted = {0: 0, 40: 1, 80: 2, 300: 2, 495: 2, 515: 3, 520: 3, 530: 4, 990: 5, 2900: 5}
        wanted |= {3000: 6, 3030: 6}
        for time, number in wanted.items():
            assert films.number(rgb(reader.at(Fraction(time, 1000)))) == number, (name, time)


def test_a_file_trimmed_between_key_frames(films, tmp_path: Path) -> None:
    """By copying packets: those before the cut are decoded; mp4 does not show them, mkv does."""
    whole = films.write(tmp_path / "whole.mp4")
    for suffix, first in (("mp4", 22), ("mkv", 15)):
        trimmed = tmp_path / f"trimmed.{suffix}"
        trim(whole, trimmed, 15, 22)
        reader = VideoReader(trimmed)
        shown = [films.number(rgb(reader.at(Fraction(n, 30)))) for n in range(60 - first)]
        assert shown == list(range(first, 60))
        assert films.number(rgb(reader.at(Fraction(4, 30)))) == first + 4
        assert len(read_extent(trimmed).ticks_F) == 60 - first


def trim(whole: Path, trimmed: Path, key: int, begin: int) -> None:
    """Copies the packets from the key frame on, so that ``begin`` has time 0."""
    with av.open(str(whole)) as source, av.open(str(trimmed), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        frame = 512  # in ticks
        for packet in source.demux(video=0):
            if packet.dts is not None and packet.pts >= key * frame:
                packet.pts, packet.dts = packet.pts - begin * frame, packet.dts - begin * frame
                packet.stream = stream
                target.mux(packet)


def test_times_that_the_file_has_not_are_told(films, written) -> None:
    reader = VideoReader(written["plain.mp4"])
    with pytest.raises(VideoError, match=r"plain\.mp4: no frame after the last"):
        reader.at(Fraction(21, 10))
    with pytest.raises(VideoError, match="no frame before the first"):
        reader.at(Fraction(-1, 10))
    assert films.number(rgb(reader.at(Fraction(59, 30)))) == 59


@pytest.mark.parametrize(("suffix", "refused"), [("mkv", {28, 29}), ("mp4", {*range(28, 45)})])
def test_frames_made_of_a_damaged_one_are_refused(
    suffix: str, refused: set[int], films, tmp_path: Path
) -> None:
    """Up to the next key frame, and in any order; what a decoder does not notice stays unknown."""
    file = films.write(tmp_path / f"a.{suffix}", noise())
    whole = [rgb(VideoReader(file).at(Fraction(n, 30))) for n in range(60)]
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    file.write_bytes(content)
    for order in (range(60), range(59, -1, -1), random.Random(1).sample(range(60), 60)):
        reader, found = VideoReader(file), set()
        for number in order:
            try:
                assert (rgb(reader.at(Fraction(number, 30))) == whole[number]).all()
            except VideoError:
                found.add(number)
        assert found == refused


def test_frames_in_any_order_are_the_same_to_the_last_bit(films, tmp_path: Path) -> None:
    for name in ("plain.mkv", "open.mp4", "plain.webm", "plain.mpg", "refreshed.ts"):
        reader = VideoReader(films.write(tmp_path / name, noise(), **FILES[name]))
        whole = [rgb(reader.at(Fraction(n, 30))) for n in range(60)]
        for number in random.Random(0).sample(range(60), 30):
            assert (rgb(reader.at(Fraction(number, 30))) == whole[number]).all(), name


def noise() -> Iterator[av.VideoFrame]:
    """60 pictures of which none tells another."""
    values = np.random.default_rng(0)
    for _ in range(60):
        pixels = values.integers(0, 256, (64, 96, 3), dtype=np.uint8)
        yield av.VideoFrame.from_ndarray(pixels, format="rgb24")


def test_names_are_no_addresses(films, written, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a.mp4", "http:a.mp4", "%03d.mp4", "[1]*.mp4", os.fsdecode(b"\xff.mp4")):
        Path(name).write_bytes(written["plain.mp4"].read_bytes())
        assert films.number(rgb(VideoReader(Path(name)).at(Fraction(7, 30)))) == 7


def test_memory_does_not_grow_with_the_file(written) -> None:
    reader = VideoReader(written["long.mkv"])
    reader.at(Fraction(59, 30))
    assert len(reader._recent) <= 16


def test_a_reader_that_nobody_holds_frees_its_decoder(written) -> None:
    """At once, and not when Python next looks for circles: a decoder takes tens of megabytes."""
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            reader = VideoReader(written["plain.mp4"])
            reader.at(Fraction(1))
            reader._open()
        del reader
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        gc.enable()


def test_what_is_no_video_is_told(films, tmp_path: Path) -> None:
    text, sound = tmp_path / "text.mp4", tmp_path / "sound.m4a"
    text.write_text("no video")
    with av.open(str(sound), "w") as file:
        stream = file.add_stream("aac", rate=48000)
        file.mux(stream.encode(films._sound(0)) + stream.encode(None))
    for file, why in ((text, "cannot be opened"), (tmp_path / "gone.mp4", "does not exist")):
        with pytest.raises(VideoError, match=why):
            VideoReader(file)
    with pytest.raises(VideoError, match="holds no video"):
        VideoReader(sound)


def rgb(frame: av.VideoFrame):
    return frame.to_ndarray(format="rgb24")
