"""The sound of a video between two times: on the clock of its pictures, in every container."""

import pickle
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from chiasm.documents import Sound
from chiasm.errors import UserError
from chiasm.video.frame import VideoFrame
from chiasm.video.heard import VideoSound

RATE, STEP = 48000, Fraction(1, 10)
SECONDS = 20
FLASHES = (4, 30, 79, 80, 163)
"""Frames that are white, with a click in the middle of the time in which they are shown."""
X264 = {"options": {"g": "50", "bf": "2", "preset": "ultrafast"}}

FILES = {
    "aac.mp4": ("libx264", "aac", 1),
    "aac.mov": ("libx264", "aac", 1),
    "pcm.mov": ("libx264", "pcm_s16le", 1),
    "aac.mkv": ("libx264", "aac", 50),
    "flac.mkv": ("libx264", "flac", 50),
    "opus.mkv": ("libx264", "libopus", 50),
    "opus.webm": ("libvpx-vp9", "libopus", 50),
    "vorbis.webm": ("libvpx-vp9", "vorbis", 50),
    "aac.ts": ("libx264", "aac", 2),
}
"""Codecs of pictures and sound, and by how many samples a click may be off: stamps of mkv and webm
are whole milliseconds."""


def write(
    path: Path,
    picture: str,
    sound: str,
    *,
    heard_from: float = 0.0,
    seen_from: float = 0.0,
    flashes: Sequence[int] = FLASHES,
    seconds: int = SECONDS,
) -> Path:
    """A film whose flashes can be heard; the tracks may begin later than the file's clock."""
    samples = np.zeros(seconds * RATE, np.float32)
    for number in (each for each in flashes if each < 10 * seconds):
        at = round((number + 0.5) * STEP * RATE)
        samples[at - 8 : at + 9] = np.hanning(17)
    layout = "stereo" if sound in ("vorbis",) else "mono"
    with av.open(str(path), "w") as file:
        shown = file.add_stream(picture, rate=10, **(X264 if picture == "libx264" else {}))
        shown.width = shown.height = 64
        shown.pix_fmt = "yuv420p"
        shown.codec_context.time_base = Fraction(1, 1000)
        beside = file.add_stream(sound, rate=RATE, layout=layout, options={"strict": "-2"})
        beside.time_base = Fraction(1, RATE)
        resampler = av.AudioResampler(beside.format.name, layout, RATE, beside.frame_size or 1024)
        heard = 0
        for number in range(seconds * 10):
            pixels = np.full((64, 64, 3), 255 * (number in flashes), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = round((number * STEP + Fraction(seen_from)) * 1000)
            frame.time_base = Fraction(1, 1000)
            file.mux(shown.encode(frame.reformat(format="yuv420p")))
            part = samples[heard : heard + RATE // 10]
            given = av.AudioFrame.from_ndarray(part[None], format="flt", layout="mono")
            given.sample_rate, given.time_base = RATE, Fraction(1, RATE)
            given.pts = heard + round(heard_from * RATE)
            heard += len(part)
            for plain in resampler.resample(given):
                file.mux(beside.encode(plain))
        for plain in resampler.resample(None):
            file.mux(beside.encode(plain))
        file.mux(shown.encode(None))
        file.mux(beside.encode(None))
    return path


def clicks(path: Path, frames: int) -> dict[int, int]:
    """Samples between each click and the begin of its item, by the item's number."""
    found = {}
    for number in range(frames):
        begin = number * STEP
        sound = Sound(VideoSound(path, begin, begin + STEP), target=False)
        [samples] = np.abs(sound.samples(RATE))
        assert len(samples) == RATE // 10
        if samples.max() > 0.3:
            found[number] = int(samples.argmax())
    return found


def flashes(path: Path, frames: int) -> list[int]:
    return [n for n in range(frames) if VideoFrame(path, n * STEP).pixels().mean() > 128]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    return {name: write(folder / name, *codecs[:2]) for name, codecs in FILES.items()}


@pytest.mark.parametrize("name", FILES)
def test_a_click_lies_in_the_sound_of_the_frame_that_flashes(name: str, written) -> None:
    assert flashes(written[name], 10 * SECONDS) == list(FLASHES)
    found = clicks(written[name], 10 * SECONDS)
    assert list(found) == list(FLASHES)
    assert max(abs(place - RATE // 20) for place in found.values()) <= FILES[name][2]


@pytest.mark.parametrize("name", FILES)
def test_any_order_gives_the_same_sound(name: str, written) -> None:
    """Whether it is reached by a seek or from the begin on."""
    path = written[name]
    whole = Sound(VideoSound(path, Fraction(0), Fraction(SECONDS)), target=False).samples(RATE)
    for begin in (Fraction(79, 10), Fraction(163, 10), Fraction(3)):
        part = Sound(VideoSound(path, begin, begin + STEP), target=False).samples(RATE)
        at = int(begin * RATE)
        assert np.abs(part - whole[:, at : at + RATE // 10]).max() < 1e-3


@pytest.mark.parametrize("name", ["aac.mp4", "pcm.mov", "aac.mkv", "opus.webm", "aac.ts"])
@pytest.mark.parametrize(("seen_from", "heard_from"), [(0.0, 1.0), (1.0, 0.0), (3.0, 3.0)])
def test_tracks_that_begin_apart_stay_apart(
    name: str, seen_from: float, heard_from: float, tmp_path: Path
) -> None:
    """Silence before the sound's first sample; what is heard before the first frame is left.

    Where mp4 says that a track begins later, it does so in milliseconds too.
    """
    picture, sound, most = FILES[name]
    most = max(most, 50 * (sound == "aac"))
    path = tmp_path / name
    write(path, picture, sound, seen_from=seen_from, heard_from=heard_from, seconds=12)
    found = clicks(path, 110)
    later = round(10 * (heard_from - seen_from))
    wanted = [number + later for number in FLASHES if number < 100 and number + later >= 0]
    assert list(found) == wanted
    assert max(abs(place - RATE // 20) for place in found.values()) <= most
    assert flashes(path, 110) == [number for number in FLASHES if number < 110]


def test_parts_are_resampled_as_parts_of_the_whole(written) -> None:
    path = written["aac.mp4"]
    steps = [Sound(VideoSound(path, n * STEP, (n + 1) * STEP), target=False) for n in range(90)]
    joined = np.concatenate([each.samples(16000) for each in steps], axis=1)
    whole = Sound(VideoSound(path, Fraction(0), Fraction(9)), target=False).samples(16000)
    assert np.abs(joined - whole).max() < 1e-6


def test_behind_the_end_there_is_silence(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", "libx264", "aac", seconds=2, flashes=())
    part = Sound(VideoSound(path, Fraction(50), Fraction(51)), target=False).samples(RATE)
    assert part.shape == (1, RATE)
    assert not part.any()


def test_the_sound_of_a_video_is_a_value(tmp_path: Path) -> None:
    sound = VideoSound(tmp_path / "a.mp4", Fraction(1, 3), Fraction(2, 3))
    assert {sound, pickle.loads(pickle.dumps(sound))} == {sound}
    assert str(sound).endswith("a.mp4 at 0.333 to 0.667 s")


def test_a_film_without_sound_is_told(films, tmp_path: Path) -> None:
    path = films.write(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=r"a\.mp4: no sound track"):
        Sound(VideoSound(path, Fraction(0), STEP), target=False).samples(RATE)
