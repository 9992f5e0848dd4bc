from pathlib import Path

import numpy as np
import pytest

from chiasm.errors import UserError
from chiasm.waveform import Segment, Waveform, decoded, held


def test_stored_forms(tmp_path: Path) -> None:
    given = Waveform(np.zeros(80), 8000)
    assert held(given) is given
    assert held("a.wav") == Path("a.wav")
    assert held(memoryview(b"ab")) == b"ab"
    with pytest.raises(UserError, match=r"Waveform\(samples, rate\)"):
        held(np.zeros(80))


@pytest.mark.parametrize(
    "wrong", [np.zeros((9000, 2)), np.zeros(80, np.int64), np.zeros((1, 2, 3))]
)
def test_samples_that_are_none(wrong: np.ndarray) -> None:
    with pytest.raises(UserError, match="sound"):
        Waveform(wrong, 8000)


@pytest.mark.parametrize(("begin", "end"), [(3, 3), (-1, 5), (5, 2)])
def test_a_segment_holds_samples(begin: int, end: int) -> None:
    with pytest.raises(UserError, match="holds no samples"):
        Segment(b"", begin, end)


def test_a_waveform_is_written_and_read(tmp_path: Path, sounds) -> None:
    both = np.stack((sounds.chirp(800), 2 * sounds.chirp(800)))
    made = Waveform(both, 16_000)
    made.save(tmp_path / "both.wav")
    assert np.abs(decoded(tmp_path / "both.wav", 16_000, 2) - both.clip(-1, 1)).max() < 1e-4
    assert made.seconds == 0.05
    with pytest.raises(UserError, match="cannot be written"):
        made.save(tmp_path / "both.unknown")
    assert 'src="data:audio/wav;base64,UklGR' in made._repr_html_()
