"""Pictures as mp4, read back."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from chiasm.data.encoder import Encoder
from chiasm.video.frame import VideoFrame


@pytest.mark.parametrize("size", [(64, 96), (720, 1280)])
def test_colors_come_back_whatever_the_size(tmp_path: Path, size: tuple[int, int]) -> None:
    """What names no matrix is read as BT.709 where it is large."""
    colors = [(220, 30, 30), (30, 200, 30), (30, 30, 210)]
    encoder = Encoder(tmp_path / "out.mp4", 10, crf=10)
    for color in colors:
        encoder.write(np.full((*size, 3), color, np.uint8), begins=False)
    encoder.close()
    for number, color in enumerate(colors):
        picture = VideoFrame(tmp_path / "out.mp4", Fraction(number, 10)).pixels()
        assert picture.shape == (*size, 3)
        assert np.abs(picture.reshape(-1, 3).mean(axis=0) - color).max() < 3
