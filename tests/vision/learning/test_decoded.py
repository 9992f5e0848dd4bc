"""Pictures that are decoded once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chiasm.vision.learning.decoded import kept_pictures
from chiasm.vision.learning.pictures import Pictures

CAPTIONS = [("a barn", "a red barn"), (), ("a hill",)]


class Decoding:
    """Decodes three pictures, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Pictures:
        self.times += 1
        pixels = np.arange(3 * 4 * 4 * 3, dtype=np.uint8).reshape(3, 4, 4, 3)
        return Pictures(pixels, CAPTIONS, "mine", content="abc", unreadable=("d.png is broken",))


def test_what_was_decoded_is_found_again_and_nothing_else(tmp_path: Path) -> None:
    decode = Decoding()
    first, again = (kept_pictures(tmp_path, ("f", ""), ("a", 4), decode) for _ in range(2))
    assert decode.times == 1
    assert np.array_equal(first.pixels_MHW3, again.pixels_MHW3)
    assert again.captions == CAPTIONS
    assert (again.data, again.content, again.unreadable) == ("mine", "abc", ("d.png is broken",))
    for fingerprints, about in (
        (("g", ""), ("a", 4)),
        (("f", "h"), ("a", 4)),
        (("f", ""), ("a", 8)),
    ):
        kept_pictures(tmp_path, fingerprints, about, decode)
    assert decode.times == 4


@pytest.mark.parametrize("fingerprints", [("", ""), ("names-f", ""), ("f", "names-f")])
def test_without_a_hash_of_content_nothing_is_kept(
    fingerprints: tuple[str, ...], tmp_path: Path
) -> None:
    decode = Decoding()
    for _ in range(2):
        kept_pictures(tmp_path, fingerprints, "", decode)
    assert decode.times == 2
    assert not list(tmp_path.iterdir())


def test_what_is_damaged_or_cannot_be_written_is_decoded_again(tmp_path: Path) -> None:
    decode = Decoding()
    kept_pictures(tmp_path / "kept", ("f",), "", decode)
    [folder] = (tmp_path / "kept").iterdir()
    for name, content in (("pixels.npy", b"\x93NUMPY"), ("told.json", b"{")):
        (folder / name).write_bytes(content)
        before = decode.times
        for _ in range(2):
            kept_pictures(tmp_path / "kept", ("f",), "", decode)
        assert decode.times == before + 1
    (tmp_path / "file").write_bytes(b"")
    before = decode.times
    for _ in range(2):
        kept_pictures(tmp_path / "file" / "below", ("f",), "", decode)
    assert decode.times == before + 2
