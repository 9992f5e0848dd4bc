"""Conversion of pictures of all kinds to uint8 RGB; no other file opens those of picture formats.

Frames of videos have a rule of their own, :mod:`chiasm.video.rule`.

The rule, by the content of the picture:

- **Orientation**: turned and mirrored by its EXIF (or XMP) data, as in viewers and in
  ``PIL.ImageOps.exif_transpose``. Broken EXIF data is ignored.
- **Up to 8 bits a channel** (grey, palette, RGB, CMYK, YCbCr, HSV): Pillow's conversion to RGB.
  Transparent pixels become white. ICC profiles are not applied.
- **16 bits**: the high byte, so 0 to 65535 become 0 to 255. Pictures of 12 or 14 bits that are
  stored in 16 come out dark, since most files do not say how many of the bits are used; a TIFF of
  12 bits does and is scaled by its own range.
- **Floating point**: round(255 x) of values in [0, 1]; others are refused, NaN included.
- **Truth values**: 0 and 255.
- Of several frames or pages, the first.
- All else is refused with its mode or type: integers of 32 bits and signed ones, whose range no
  file states, LAB, and TIFFs that Pillow scrambles (colours apart in 16 bits, not compressed).
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, UnidentifiedImageError
from PIL import Image as PillowImage
from PIL.Image import Transpose

from chiasm import fitting
from chiasm.errors import UserError
from chiasm.video.frame import VideoFrame

RULE = 2
"""Version of the rule above; latents computed under another one are invalid."""

Given = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | np.ndarray
    | PillowImage.Image
    | VideoFrame
)
"""Accepted forms of a picture: a path, an encoded file's content, pixels, a PIL picture, or a
frame of a video."""

Held = Path | bytes | np.ndarray | VideoFrame
"""Stored forms of a picture: a path, an encoded file's content, uint8 [H, W, 3], or a frame of a
video."""

_EIGHT_BITS = frozenset({"1", "L", "P", "LA", "PA", "RGB", "RGBX", "RGBA", "RGBa"})
_EIGHT_BITS |= {"CMYK", "YCbCr", "HSV"}

_BITS_PER_SAMPLE, _COMPRESSION, _PHOTOMETRIC, _PLANAR = 258, 259, 262, 284
"""Numbers of TIFF tags."""

_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""Transposition that undoes an EXIF orientation."""

_SIDEWAYS = frozenset(_TURNS[orientation] for orientation in (5, 6, 7, 8))

_PNG_ORIENTATION = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
"""Every PNG with an orientation contains one of these."""


@dataclass(frozen=True)
class ImageShape:
    """Size of a picture in pixels, and its grid of latent tokens."""

    height_pixels: int
    width_pixels: int
    rows: int
    columns: int

    @property
    def num_tokens(self) -> int:
        """Number of latent tokens of one picture."""
        return self.rows * self.columns


def held(given: Given) -> Held:
    """Returns the stored form of a picture: paths unopened, pixels and PIL pictures converted.

    Arrays are [H, W], or [H, W, C] with C as grey, grey and alpha, RGB, or RGB and alpha, of the
    types in the module's rule.

    Raises:
        UserError: it is none of these, or the rule refuses it.
    """
    if isinstance(given, bytes):  # of shards, where each microsecond counts
        return given
    if isinstance(given, np.ndarray):
        if given.dtype == np.uint8 and given.shape[2:] == (3,) and given.size:
            return given
        return _of_array(given, f"of shape {given.shape} and type {given.dtype}")
    if isinstance(given, VideoFrame):
        return given
    if isinstance(given, bytearray | memoryview):
        return bytes(given)
    if isinstance(given, str | os.PathLike):
        return Path(given)
    if isinstance(given, PillowImage.Image):
        with _decoding("in memory"):
            return _of_picture(given, "in memory")
    raise UserError(
        f"a picture is given as {type(given).__name__}; give a path, the bytes of a file, a PIL "
        "picture, or an array [H, W, 3] (of a tensor [3, H, W]: tensor.permute(1, 2, 0).numpy())"
    )


def decoded(data: Held, name: str = "") -> np.ndarray:
    """Returns the decoded picture by the module's rule: uint8 [H, W, 3]; ``name`` is for messages.

    Raises:
        UserError: the file cannot be read or decoded, or the rule refuses it.
    """
    if isinstance(data, np.ndarray):
        return data
    if isinstance(data, VideoFrame):
        return data.pixels()
    name = name or described(data)
    with opened(data, name) as picture:
        return _of_picture(picture, name)


def fitted(data: Held, height: int, width: int) -> np.ndarray:
    """Returns the :func:`decoded` picture, centre-cropped to this aspect ratio and resized.

    uint8 [H, W, 3]; a picture that already has the size is unchanged.

    Raises:
        UserError: the file cannot be read or decoded, or the rule refuses it.
    """
    if isinstance(data, VideoFrame):
        return data.fitted(height, width)
    return fitting.fitted(decoded(data), height, width)


def described(data: Held) -> str:
    """Returns a picture's name in messages: its path, its size, or its place in a video."""
    if isinstance(data, np.ndarray):
        return f"pixels of shape {data.shape}"
    return f"{len(data)} bytes" if isinstance(data, bytes) else str(data)


@contextmanager
def opened(data: Path | bytes, name: str = "") -> Iterator[PillowImage.Image]:
    """Yields an opened picture file, of which only the header is read; ``name`` is for messages.

    Raises:
        UserError: it cannot be read, or the code inside fails.
    """
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    with _decoding(name or described(data)), PillowImage.open(file) as picture:
        if picture.format == "EPS":
            raise UserError(
                f"picture {name or described(data)} is a program in PostScript, which is not run; "
                "save it as PNG"
            )
        yield picture


def oriented_size(data: Held) -> tuple[int, int]:
    """Returns width and height in pixels of the :func:`decoded` picture, without decoding it.

    All frames of a video are taken to have the size of its first one, which is decoded once.

    Raises:
        UserError: it is no picture that can be read.
    """
    if isinstance(data, np.ndarray | VideoFrame):
        height, width = data.shape[:2]
        return width, height
    with opened(data) as picture:
        width, height = picture.size
        turned = width != height and _may_be_turned(picture, data) and _turn(picture) in _SIDEWAYS
        return (height, width) if turned else (width, height)


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"picture {name} does not exist") from error
    except UnidentifiedImageError as error:
        raise UserError(
            f"picture {name} cannot be decoded: it is no picture of a known format"
        ) from error
    except Exception as error:  # broken bytes make the decoders raise almost anything
        raise UserError(f"picture {name} cannot be decoded: {error}") from error


def _may_be_turned(picture: PillowImage.Image, data: Path | bytes) -> bool:
    if picture.format == "TIFF":
        return False  # Pillow has turned its size already
    if picture.format != "PNG":
        return True
    # What turns a PNG may stand behind its pixels, and Pillow would decode them to look for it.
    content = data if isinstance(data, bytes) else data.read_bytes()
    return any(map(content.__contains__, _PNG_ORIENTATION))


def _turn(picture: PillowImage.Image) -> Transpose | None:
    try:
        return _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # viewers show a picture with broken EXIF data as it is stored
        return None


def _of_picture(picture: PillowImage.Image, name: str) -> np.ndarray:
    _refuse_scrambled(picture, name)
    picture.load()
    if (turn := _turn(picture)) is not None:
        picture = picture.transpose(turn)
    name = f"{name} of mode {picture.mode}"
    values = _deep_values(picture)
    if values is None and picture.mode not in _EIGHT_BITS:
        raise _refused(name)
    if values is None:
        return np.array(_on_white(picture))
    pixels = _of_array(values, name)
    if "transparency" in picture.info:
        pixels[values == picture.info["transparency"]] = 255
    return pixels


def _refuse_scrambled(picture: PillowImage.Image, name: str) -> None:
    """Raises a UserError for files of which Pillow silently reads a value's two bytes as pixels."""
    tags = getattr(picture, "tag_v2", {})
    deep = max(tags.get(_BITS_PER_SAMPLE, (8,))) > 8
    if deep and tags.get(_PLANAR) == 2 and tags.get(_COMPRESSION, 1) == 1:
        raise UserError(
            f"picture {name} holds its colours apart (planar), in more than 8 bits and without "
            "compression, which Pillow reads wrongly; save it pixel by pixel, or compressed"
        )


def _deep_values(picture: PillowImage.Image) -> np.ndarray | None:
    """Returns uint16 or float [H, W] of one deep channel, 0 is black; None: no deep channel."""
    tags = getattr(picture, "tag_v2", {})
    if picture.mode == "F":
        values, white = np.array(picture), 1
    elif picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PPM"):
        (bits,) = tags.get(_BITS_PER_SAMPLE, (16,))
        values, white = np.array(picture).astype(np.uint16) << (16 - bits), 65535
    else:
        return None
    white_is_zero = tags.get(_PHOTOMETRIC) == 0  # Pillow inverts these in 8 bits alone
    return white - values if white_is_zero else values


def _on_white(picture: PillowImage.Image) -> PillowImage.Image:
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = PillowImage.alpha_composite(
            PillowImage.new("RGBA", picture.size, "white"), picture
        )
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _of_array(values: np.ndarray, name: str) -> np.ndarray:
    channels = values.shape[2] if values.ndim == 3 else 1
    if not values.size or values.ndim not in (2, 3) or channels > 4:
        raise UserError(
            f"picture {name} is no picture: give [H, W], or [H, W, C] with 1 to 4 channels"
        )
    pixels = _eight_bits(values, name)
    if channels == 3:
        return pixels
    if channels == 1:
        pixels = pixels.reshape(values.shape[:2])
    return np.array(_on_white(PillowImage.fromarray(pixels)))


def _eight_bits(values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * 255
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return (values >> 8).astype(np.uint8)
    if values.dtype.kind != "f":
        raise _refused(name)
    least, most = float(values.min()), float(values.max())
    if not (least >= 0 and most <= 1):  # NaN is neither
        raise UserError(
            f"picture {name} has values from {least:g} to {most:g}; values in floating point must "
            "lie in [0, 1]: scale and clip them, or save it with 8 or 16 bits"
        )
    return np.rint(values.astype(np.float32) * 255).astype(np.uint8)


def _refused(name: str) -> UserError:
    return UserError(
        f"picture {name} cannot be made RGB without guessing its range; convert it to grey or RGB "
        "with unsigned values of 8 or 16 bits, or with values in floating point in [0, 1]"
    )
