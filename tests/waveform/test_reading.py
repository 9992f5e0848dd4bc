"""Every format gives the sound that was written, and its parts; what is no sound is refused."""

import io
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from chiasm.errors import UserError
from chiasm.waveform import Segment, Waveform, decoded, measured

RATE, COUNT = 48_000, 48_000
EXACT = {
    "wav": {"subtype": "PCM_16"},
    "wav of 24 bits": {"subtype": "PCM_24"},
    "wav of 32 bits": {"subtype": "PCM_32"},
    "wav of floats": {"subtype": "FLOAT"},
    "flac": {"format": "FLAC"},
    "aiff": {"format": "AIFF"},
}
LOSSY = {
    "vorbis": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {"format": "MP3"},
}
ENCODED = {
    "mp3 of FFmpeg": ("mp3", "libmp3lame"),
    "m4a": ("mp4", "aac"),
    "mov": ("mov", "aac"),
    "webm": ("webm", "libopus"),
    "opus in mp4": ("mp4", "libopus"),
    "mp3 in mp4": ("mp4", "libmp3lame"),
    "opus of FFmpeg": ("ogg", "libopus"),
    "aac in matroska": ("matroska", "aac"),
    "flac in matroska": ("matroska", "flac"),
    "alac": ("mp4", "alac"),
}
LATE = {
    "aac alone": ("adts", "aac", 1024),
    "aac in a transport stream": ("mpegts", "aac", 1024),
    "mp3 in avi": ("avi", "libmp3lame", 1105),
}
PADDED = {"aac in matroska"}
"""What says where it begins, and not where it ends."""


@pytest.fixture(scope="module")
def chirp(sounds) -> np.ndarray:
    return sounds.chirp(COUNT, RATE)


@pytest.fixture(scope="module")
def files(sounds, chirp) -> dict[str, bytes]:
    written = {name: sounds.written(chirp, RATE, **form) for name, form in (EXACT | LOSSY).items()}
    made = {name: (container, codec) for name, (container, codec, _) in LATE.items()}
    return written | {
        name: sounds.encoded(chirp, RATE, *form) for name, form in (ENCODED | made).items()
    }


def delay(found: np.ndarray, true: np.ndarray) -> int:
    """Samples by which a sound is late, where their correlation is largest."""
    size = 1 << 17
    spectrum = np.conj(np.fft.rfft(true, size)) * np.fft.rfft(found, size)
    at = int(np.fft.irfft(spectrum).argmax())
    return at if at < size // 2 else at - size


@pytest.mark.parametrize("name", EXACT)
def test_what_loses_nothing_is_what_was_written(name: str, files, chirp) -> None:
    found = decoded(files[name], RATE)
    assert found.dtype == np.float32
    assert found.shape == (1, COUNT)
    assert np.abs(found[0] - chirp).max() <= (0 if "floats" in name else 2**-15)
    assert measured(files[name]) == (COUNT, RATE, 1)


@pytest.mark.parametrize("name", LOSSY | ENCODED)
def test_a_sound_begins_and_ends_where_it_did(name: str, files, chirp) -> None:
    found = decoded(files[name], RATE)
    assert abs(delay(found[0], chirp)) <= 1
    assert found.shape[1] == COUNT or (name in PADDED and COUNT < found.shape[1] < COUNT + 2048)
    assert measured(files[name]) == (found.shape[1], RATE, 1)


@pytest.mark.parametrize("name", LATE)
def test_what_says_nothing_of_its_begin_is_late(name: str, files, chirp) -> None:
    """The page says so; a library that removes it one day is welcome."""
    assert delay(decoded(files[name], RATE)[0], chirp) == LATE[name][-1]


@pytest.mark.parametrize("name", EXACT | LOSSY | ENCODED)
def test_parts_of_a_file_are_parts_of_its_sound(name: str, files) -> None:
    """Also resampled: what lies beside a part is heard across its border."""
    for wanted in (RATE, 16_000, 44_100):
        whole = decoded(files[name], wanted)
        length = measured(files[name]).samples
        borders = [0, 12_000, 12_003, 30_000, length]
        parts = [Segment(files[name], *each) for each in pairwise(borders)]
        joined = np.concatenate([decoded(part, wanted) for part in parts], axis=1)
        assert joined.shape == whole.shape
        assert np.abs(joined - whole).max() < 1e-5


def test_channels_are_mixed_or_copied(sounds, chirp) -> None:
    both = sounds.written(np.stack((chirp, -0.5 * chirp), axis=1), RATE, subtype="FLOAT")
    assert np.allclose(decoded(both, RATE, 1)[0], 0.25 * chirp, atol=1e-6)
    left, right = decoded(both, RATE, 2)
    assert (left == chirp).all()
    assert (right == -0.5 * chirp).all()
    assert np.abs(np.diff(decoded(sounds.written(chirp, RATE), RATE, 2), axis=0)).max() == 0
    six = sounds.written(np.tile(chirp[:, None], 6), RATE, subtype="FLOAT")
    assert np.allclose(decoded(six, RATE, 2)[1], chirp, atol=1e-6)


@pytest.mark.parametrize("channels", range(2, 8))
def test_a_mean_of_channels_is_the_same_wherever_they_lie_in_memory(channels: int) -> None:
    x_CT = np.random.default_rng(channels).standard_normal((channels, 999), dtype=np.float32)
    for given in (x_CT, np.ascontiguousarray(x_CT.T).T):
        assert np.array_equal(decoded(Waveform(given, 8000), 8000)[0], given.mean(0))


def test_floats_beyond_one_stay_and_those_of_no_number_are_refused(sounds) -> None:
    loud = np.array([-1.5, 1.5, 0.25], np.float32)
    assert decoded(sounds.written(loud, 8000, subtype="FLOAT"), 8000).tolist() == [loud.tolist()]
    wrong = sounds.written(np.array([0, np.nan], np.float32), 8000, subtype="FLOAT")
    with pytest.raises(UserError, match="not finite"):
        decoded(wrong, 8000)


def test_a_path_and_the_bytes_of_its_file_are_one_sound(tmp_path: Path, files) -> None:
    for name in ("flac", "m4a"):
        path = tmp_path / f"{name}.unknown"
        path.write_bytes(files[name])
        assert (decoded(path, 16_000) == decoded(files[name], 16_000)).all()
        assert measured(path) == measured(files[name])


def test_samples_in_memory_have_their_rate(chirp) -> None:
    found = decoded(Waveform(chirp, RATE), 16_000)
    assert found.shape == (1, COUNT // 3)
    whole_numbers = Waveform((chirp * 32768).astype(np.int16), RATE)
    assert np.abs(whole_numbers.samples_CT[0] - chirp).max() < 2**-14


@pytest.mark.parametrize(
    ("shape", "rate", "told"),
    [
        ((0,), 8000, "no samples"),
        ((100,), 1, "1 samples per second; give 1000 to"),
        ((100, 32), 8000, "32 channels; give 1 to 8"),
    ],
)
def test_what_is_no_sound_is_refused(shape, rate: int, told: str, sounds) -> None:
    file = sounds.written(np.zeros(shape, np.float32), rate)
    for read in (lambda: decoded(file, 8000), lambda: measured(file)):
        with pytest.raises(UserError, match=told):
            read()


@pytest.mark.parametrize("name", ["wav", "wav of floats", "flac", "vorbis", "mp3", "m4a", "webm"])
def test_a_file_that_is_cut_off_is_refused(name: str, files, capfd) -> None:
    content = files[name]
    with pytest.raises(UserError, match=r"is cut off|cannot be decoded"):
        decoded(content[: len(content) // 2], RATE)


def test_a_header_that_promises_more_than_bytes_can_hold_is_damaged(files) -> None:
    """The count of a FLAC's samples has 36 bits, from the second half of its 22nd byte on."""
    content = files["flac"]
    promised = content[:21] + bytes([content[21] | 0x0F]) + b"\xff" * 3 + content[25:]
    with pytest.raises(UserError, match=r"is cut off: \d+ bytes hold no 68719476\d+ samples"):
        measured(promised)


def test_a_wav_from_a_pipe_has_no_size_and_is_whole(files, chirp) -> None:
    at = files["wav"].index(b"data") + 4
    streamed = files["wav"][:at] + b"\xff" * 4 + files["wav"][at + 4 :]
    assert decoded(streamed, RATE).shape == (1, COUNT)


@pytest.mark.parametrize("content", [b"", b"hello", b"RIFF", b"OggS" + bytes(40), bytes(3000)])
def test_other_bytes_are_no_sound(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sound of .* cannot be decoded"):
        decoded(content, RATE)
    path = tmp_path / "sound.wav"
    with pytest.raises(UserError, match="does not exist"):
        decoded(path, RATE)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"sound\.wav cannot be decoded"):
        measured(path)


def test_a_film_without_sound_is_told(tmp_path: Path) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as opened:
        stream = opened.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1, 10)
        for part in (frame, None):
            opened.mux(stream.encode(part))
    with pytest.raises(UserError, match="no track of sound"):
        decoded(file.getvalue(), RATE)


@pytest.mark.parametrize("name", ["wav", "m4a"])
def test_a_segment_behind_the_end_is_refused(name: str, files) -> None:
    with pytest.raises(UserError, match="lies behind its 48000"):
        decoded(Segment(files[name], COUNT - 10, COUNT + 1), RATE)
