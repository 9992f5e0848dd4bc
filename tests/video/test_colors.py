"""Colours, range, depth and orientation of frames, from YUV that is computed here."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from chiasm.errors import UserError
from chiasm.video.frame import VideoFrame

LUMA = {"bt601": (0.299, 0.587, 0.114), "bt709": (0.2126, 0.7152, 0.0722)}
LUMA["bt2020"] = (0.2627, 0.678, 0.0593)
TAGS = {"bt601": 6, "bt709": 1, "bt2020": 9, None: 2}
COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (223, 171, 105), (128, 128, 128), (0, 0, 0)]
COLORS += [(255, 255, 255)]
LOSSLESS = {"qp": "0", "x264-params": "keyint=15"}


def yuv(color: tuple[int, ...], matrix: str, full: bool, bits: int) -> list[int]:
    red, _, blue = LUMA[matrix]
    r, g, b = (value / 255 for value in color)
    y = np.dot(LUMA[matrix], (r, g, b))
    chroma = (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
    unit, top = 2 ** (bits - 8), 2**bits - 1
    if full:
        return [round(top * y), *(min(top, round(top * c + 128 * unit)) for c in chroma)]
    return [round((16 + 219 * y) * unit), *(round((128 + 224 * c) * unit) for c in chroma)]


def stripes(
    matrix: str,
    *,
    full: bool = False,
    bits: int = 8,
    size: tuple[int, int] = (32, 224),
    colors: Sequence[tuple[int, ...]] = COLORS,
) -> Iterator[av.VideoFrame]:
    """Two frames of vertical stripes, one for each of seven colors."""
    height, width = size
    columns = np.arange(width) * len(colors) // width
    planes = np.array([yuv(color, matrix, full, bits) for color in colors]).T
    for _ in range(2):
        frame = av.VideoFrame(width, height, "yuv420p" if bits == 8 else "yuv420p10le")
        for number, plane in enumerate(frame.planes):
            row = planes[number, columns[:: 2 if number else 1]]
            kind = np.uint8 if bits == 8 else np.uint16
            whole = np.zeros((plane.height, plane.line_size // kind().itemsize), kind)
            whole[:, : len(row)] = row
            plane.update(whole.tobytes())
        yield frame


def tagged(matrix: str | None, full: bool | None = None, transfer: int = 2):
    def prepare(stream: av.VideoStream) -> None:
        stream.codec_context.colorspace = TAGS[matrix]
        stream.codec_context.color_trc = transfer
        if full is not None:
            stream.codec_context.color_range = 2 if full else 1

    return prepare


def shown(file: Path, *rule: str) -> list[tuple[int, ...]]:
    pixels = VideoFrame(file, Fraction(0), *rule).pixels()
    middle = (2 * np.arange(len(COLORS)) + 1) * pixels.shape[1] // (2 * len(COLORS))
    return [tuple(pixels[pixels.shape[0] // 2, at].tolist()) for at in middle]


def assert_right(colors: list[tuple[int, ...]], wanted=COLORS) -> None:
    difference = np.abs(np.array(colors) - np.array(wanted)).max()
    assert difference <= 3, (difference, colors)


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bits", [8, 10])
def test_matrix_and_range_are_those_of_the_tags(
    matrix: str, full: bool, bits: int, films, tmp_path: Path
) -> None:
    file = films.write(
        tmp_path / "a.mp4",
        stripes(matrix, full=full, bits=bits),
        pixel_format="yuv420p" if bits == 8 else "yuv420p10le",
        options=LOSSLESS if bits == 8 else {"crf": "1"},
        prepare=tagged(matrix, full),
    )
    assert_right(shown(file))
    assert_right(shown(file, "bt601"))  # for files that name none


@pytest.mark.parametrize("full", [False, True])
def test_the_range_counts_in_other_codecs_too(full: bool, films, tmp_path: Path) -> None:
    file = films.write(
        tmp_path / "a.webm",
        stripes("bt709", full=full),
        codec="libvpx-vp9",
        options={"lossless": "1"},
        prepare=tagged("bt709", full),
    )
    assert_right(shown(file))


def test_full_range_formats_are_full_range(films, tmp_path: Path) -> None:
    file = films.write(
        tmp_path / "a.mov",
        (frame.reformat(format="yuvj420p") for frame in _as_full(stripes("bt601", full=True))),
        codec="mjpeg",
        pixel_format="yuvj420p",
        options={"qmin": "1", "qmax": "1"},
    )
    assert_right(shown(file))


@pytest.mark.parametrize(
    ("size", "meant"),
    [((32, 224), "bt601"), ((576, 1024), "bt601"), ((720, 1280), "bt709"), ((1024, 590), "bt709")],
)
def test_without_a_tag_the_size_decides_or_the_setting(
    size: tuple[int, int], meant: str, films, tmp_path: Path
) -> None:
    file = films.write(
        tmp_path / "a.mp4", stripes(meant, size=size), options=LOSSLESS, prepare=tagged(None)
    )
    assert_right(shown(file))
    assert_right(shown(file, meant))
    other = "bt601" if meant == "bt709" else "bt709"
    assert max(np.abs(np.array(shown(file, other)) - COLORS).ravel()) > 15
    wrong = films.write(
        tmp_path / "b.mp4", stripes(other, size=size), options=LOSSLESS, prepare=tagged(None)
    )
    assert_right(shown(wrong, other))


@pytest.mark.parametrize(("transfer", "white"), [(16, 0.5807), (18, 0.75)])
def test_high_dynamic_range_is_rolled_off(
    transfer: int, white: float, films, tmp_path: Path
) -> None:
    codes = (round(255 * white),) * 3
    file = films.write(
        tmp_path / "a.mp4",
        stripes("bt2020", bits=10, colors=[*COLORS[:3], (0, 0, 0), codes, (255,) * 3, (128,) * 3]),
        pixel_format="yuv420p10le",
        options={"crf": "1"},
        prepare=tagged("bt2020", False, transfer),
    )
    red, green, blue, black, diffuse, brightest, _ = shown(file)
    assert_right([black, diffuse, brightest], [(0, 0, 0), (229, 229, 229), (255, 255, 255)])
    for number, color in enumerate((red, green, blue)):  # of BT.2020, which BT.709 has not
        assert color[number] > 230
        assert max(each for other, each in enumerate(color) if other != number) < 60


def test_other_transfers_are_refused(films, tmp_path: Path) -> None:
    file = films.write(tmp_path / "a.mp4", stripes("bt709"), prepare=tagged("bt709", False, 8))
    with pytest.raises(UserError, match="transfer function 8"):
        shown(file)


TURNS = [0, 90, 180, 270]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_frames_are_turned_and_mirrored_by_the_display_matrix(
    turn: int, mirrored: bool, suffix: str, films, tmp_path: Path
) -> None:
    file = films.write(
        tmp_path / f"a.{suffix}",
        5,
        prepare=lambda stream: stream.set_display_rotation(turn, hflip=mirrored),
    )
    with av.open(str(file)) as container:
        plain = next(container.decode(video=0)).to_ndarray(format="rgb24")
    pixels = VideoFrame(file, Fraction(0)).pixels()
    upright = np.rot90(plain, k=turn // 90)  # counter-clockwise, and then mirrored
    upright = upright[:, ::-1] if mirrored else upright
    assert pixels.shape == upright.shape
    assert np.abs(pixels.astype(int) - upright).max() <= 1
    assert pixels.flags["C_CONTIGUOUS"]


def test_pixels_are_made_square(films, tmp_path: Path) -> None:
    def prepare(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)

    file = films.write(tmp_path / "a.mp4", 5, prepare=prepare)
    pixels = VideoFrame(file, Fraction(1, 10)).pixels()
    assert pixels.shape == (64, 144, 3)
    assert films.number(pixels) == 3


def _as_full(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    for frame in frames:
        frame.color_range = 2
        yield frame
