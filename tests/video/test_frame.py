"""The frame at time t of a file as a value, and decoding in one pass."""

import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from chiasm.data.keys import picture_key
from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.fitting import fitted
from chiasm.video import frame, reader
from chiasm.video.frame import VideoFrame


@pytest.fixture
def file(films, tmp_path: Path) -> Path:
    frame._forget()  # what other tests have decoded
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


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """One entry for each frame that a decoder gives."""
    found: list[int] = []
    stamp = reader.VideoReader._stamp
    monkeypatch.setattr(
        reader.VideoReader, "_stamp", lambda own, frame: found.append(1) or stamp(own, frame)
    )
    return found


def test_frames_of_one_file_are_decoded_in_one_pass(films, file: Path, decoded) -> None:
    shown = [films.number(VideoFrame(file, Fraction(n, 10)).pixels()) for n in range(16)]
    assert shown == [3 * n for n in range(16)]
    assert len(decoded) == 46  # up to the last one that is wanted


def test_frames_that_are_wanted_together_are_decoded_together(films, file: Path, decoded) -> None:
    """In whatever order they are asked for, and each as it is alone."""
    times = tuple(Fraction(n, 10) for n in range(16))
    order = np.random.default_rng(0).permutation(16).tolist()
    shown = {n: VideoFrame(file, times[n], together=times).fitted(32, 48) for n in order}
    assert len(decoded) == 46
    assert [films.number(shown[n]) for n in range(16)] == [3 * n for n in range(16)]
    frame._forget()
    for n in order[:4]:
        assert (VideoFrame(file, times[n]).fitted(32, 48) == shown[n]).all()
    assert VideoFrame(file, times[0], together=times) == VideoFrame(file, times[0])


def test_a_share_of_the_memory_is_filled_with_frames_of_one_file(
    films, file: Path, decoded, monkeypatch
) -> None:
    monkeypatch.setattr(frame, "_SHOWN_BYTES", frame._SHARES * 5 * 3 * 32 * 48)  # 5 frames
    times = tuple(Fraction(n, 30) for n in range(20))
    wanted = VideoFrame(file, times[7], together=times)
    assert films.number(wanted.fitted(32, 48)) == 7
    assert len(frame._SHOWN._pixels) == 5
    assert len(decoded) == 10  # frames 5 to 9 are kept
    assert films.number(VideoFrame(file, times[12], together=times).fitted(32, 48)) == 12


def test_a_frame_that_is_broken_hurts_nobody_else(films, file: Path) -> None:
    times = (Fraction(0), Fraction(1), Fraction(9))
    for _ in range(2):
        assert films.number(VideoFrame(file, times[1], together=times).fitted(32, 48)) == 30
        with pytest.raises(UserError, match="no frame after the last"):
            VideoFrame(file, times[2], together=times).fitted(32, 48)


@pytest.mark.parametrize("turn", [0, 90])
@pytest.mark.parametrize("size", [(24, 40), (40, 24), (9, 9), (300, 500)])
def test_large_frames_are_resized_before_they_become_rgb(
    size: tuple[int, int], turn: int, films, tmp_path: Path
) -> None:
    """The same picture but for rounding, whatever is cropped, turned, or no whole block."""
    coarse = np.random.default_rng(0).integers(0, 256, (35, 47, 1), dtype=np.uint8)
    pixels = fitted(coarse.repeat(3, 2), 350, 470)
    file = films.write(
        tmp_path / "b.mp4",
        [_frame(pixels)],
        options={"qp": "0"},
        prepare=lambda stream: stream.set_display_rotation(turn),
    )
    whole = VideoFrame(file, Fraction(0))
    wanted = fitted(whole.pixels(), *size)
    found = whole.fitted(*size)
    assert found.shape == (*size, 3)
    difference = np.abs(found.astype(int) - wanted)
    assert difference.max() <= 3
    assert difference.mean() < 1.5


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


def test_few_frames_stay_in_memory(monkeypatch) -> None:
    monkeypatch.setattr(frame, "_SHOWN_BYTES", 2500)
    kept = frame._Pictures()
    for number in range(10):
        kept.put(number, np.zeros(1000, np.uint8))
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
