"""MP3 files with and without a first frame that counts the others."""

import io

import av
import numpy as np
import pytest

from chiasm.waveform import decoded, measured
from chiasm.waveform.mp3 import counts_its_frames

RATE, SECONDS = 44100, 6


def mp3(samples: np.ndarray, header: bool) -> bytes:
    """Of variable bit rate; ``header``: with the frame that counts the others."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp3", options={"write_xing": str(int(header))}) as out:
        stream = out.add_stream("libmp3lame", rate=RATE, layout="mono", options={"abr": "1"})
        stream.codec_context.format = "fltp"
        for begin in range(0, len(samples), 1152):
            part = samples[None, begin : begin + 1152].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, begin
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return file.getvalue()


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("begins", ["loud", "soft"])
def test_all_of_a_sound_is_read_however_it_begins(begins: str, header: bool) -> None:
    """The first frame's bit rate says nothing of the rest."""
    time = np.arange(RATE * SECONDS) / RATE
    noise = 0.2 * np.random.default_rng(0).normal(size=len(time))
    tone = 0.2 * np.sin(2 * np.pi * 300 * time)
    first, then = (noise, tone) if begins == "loud" else (0 * tone, noise)
    file = mp3(np.where(time < 0.25, first, then), header)
    assert counts_its_frames(file) is header
    samples = decoded(file, RATE)[0]
    assert 0 <= len(samples) - len(time) < 3 * 1152
    assert measured(file).samples == len(samples)
    assert np.abs(samples[len(time) - RATE // 2 : len(time) - RATE // 4]).mean() > 0.05
