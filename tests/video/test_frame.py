"""The frame at time t of a file as a value, and decoding in one pass."""

import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from chiasm.data.keys import picture_key
from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.video import frame, reader
from chiasm.video.frame import VideoFrame, frames


@pytest.fixture
def file(films, tmp_path: Path) -> Path:
    return films.write(tmp_path / "a.mp4")


def test_a_frame_is_a_value(file: Path) -> None:
    frame = VideoFrame(file, Fraction(1, 3))
    same = pickle.loads(pickle.dumps(frame))
    assert same == frame
    assert hash(same) == hash(frame)
    assert {frame, same, VideoFrame(file, Fraction(2, 3))} == {
        frame,
        VideoFrame(file, 2 / Fraction(3)),
    }
    assert str(frame).endswith("a.mp4 at 0.333 s")


def test_a_frame_is_a_picture(films, file: Path) -> None:
    image = Image(VideoFrame(file, Fraction(10, 30)), target=True)
    assert image.data == VideoFrame(file, Fraction(1, 3))
    pixels = image.pixels()
    assert (pixels.dtype, pixels.shape, films.number(pixels)) == (np.uint8, (64, 96, 3), 10)


def test_frames_of_one_file_are_decoded_in_one_pass(films, file: Path, monkeypatch) -> None:
    decoded = []
    stamp = reader.VideoReader._stamp
    monkeypatch.setattr(
        reader.VideoReader, "_stamp", lambda own, frame: decoded.append(1) or stamp(own, frame)
    )
    times = [Fraction(n, 10) for n in range(16)]
    assert [films.number(each) for each in frames(file, times)] == [3 * n for n in range(16)]
    assert len(decoded) == 46  # up to the last one that is wanted
    images = [Image(VideoFrame(file, time), target=True) for time in times[:2]]
    assert [films.number(image.pixels()) for image in images] == [0, 3]


def test_a_key_depends_on_content_time_and_rule_alone(films, file: Path) -> None:
    copy = file.with_name("b.mp4")
    copy.write_bytes(file.read_bytes())

    def key(path: Path, *rest) -> bytes:
        return picture_key(Image(VideoFrame(path, *rest), target=True))

    first = key(file, Fraction(1, 3))
    assert first == key(copy, Fraction(2, 6))
    assert len(first) == 16
    films.write(copy, 50)
    others = [
        key(file, Fraction(2, 3)),
        key(file, Fraction(1, 3), "bt709"),
        key(copy, Fraction(1, 3)),
    ]
    assert len({first, *others}) == 4
    with pytest.raises(UserError, match=r"gone\.mp4: cannot be read"):
        key(file.with_name("gone.mp4"), Fraction(0))


def test_a_file_that_changes_is_read_anew(films, file: Path) -> None:
    frame = VideoFrame(file, Fraction(0))
    assert films.number(frame.pixels()) == 0
    first = films.picture(7)
    films.write(file, [_frame(first)] * 3)
    assert films.number(frame.pixels()) == 7


def test_a_document_that_is_looked_at_first_is_decoded_once(file: Path, monkeypatch) -> None:
    calls = []
    at = reader.VideoReader.at
    monkeypatch.setattr(
        reader.VideoReader, "at", lambda own, time: calls.append(time) or at(own, time)
    )
    images = [Image(VideoFrame(file, Fraction(n, 10)), target=True) for n in range(8)]
    first = [image.pixels() for image in images]
    assert all((image.pixels() == one).all() for image, one in zip(images, first, strict=True))
    assert len(calls) == 8


def test_few_frames_stay_in_memory() -> None:
    kept = frame._Pictures()
    for number in range(10):
        kept.put(number, np.zeros((1 << 12, 1 << 11, 3), np.uint8))  # 24 MiB each
    assert [number for number in range(10) if kept.get(number) is not None] == [8, 9]


def test_what_cannot_be_read_is_told(films, file: Path) -> None:
    for path, time, why in (
        (file, Fraction(9), "no frame after the last"),
        (file.with_name("gone.mp4"), Fraction(0), r"gone\.mp4: cannot be read"),
    ):
        with pytest.raises(UserError, match=why):
            Image(VideoFrame(path, time), target=True).pixels()
    assert films.number(VideoFrame(file, Fraction(1)).pixels()) == 30


def _frame(pixels: np.ndarray):
    import av

    return av.VideoFrame.from_ndarray(pixels, format="rgb24")
