"""Decoded pictures of a source, kept in the cache folder under a hash of its content.

Decoding ten thousand pictures takes longer than the first hundreds of training steps, and gives the
same pixels each time that nothing has changed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xxhash

from chiasm.data.survey import is_of_content
from chiasm.rgb import RULE
from chiasm.vision.learning.pictures import Pictures
from chiasm.whole import whole

MOST_BYTES = 4 << 30
"""Larger sets are decoded anew: a copy of them would fill a disk."""
_KEEPING = 1
"""Version of what is kept: raised when the same documents give other pictures than before."""
_TOLD = ("captions", "content", "unreadable", "data")


def kept_pictures(
    folder: Path, fingerprints: tuple[str, ...], about: object, make: Callable[[], Pictures]
) -> Pictures:
    """Returns pictures that were decoded before, or decodes them now.

    Args:
        folder: where they are kept.
        fingerprints: of the content of the source; where it has none, nothing is kept.
        about: all else that decides which pictures there are, as what ``repr`` tells.
        make: decodes them.
    """
    if not all(map(is_of_content, filter(None, fingerprints))) or not any(fingerprints):
        return make()
    known = f"{_KEEPING} {RULE} {fingerprints} {about!r}"
    path = folder / xxhash.xxh3_128_hexdigest(known.encode(errors="replace"))
    try:
        told = json.loads((path / "told.json").read_text(encoding="utf-8"))
        pixels_MHW3 = np.load(path / "pixels.npy", mmap_mode="r", allow_pickle=False)
        captions = [tuple(of_one) for of_one in told["captions"]]
        unreadable = tuple(told["unreadable"])
        if len(captions) == len(pixels_MHW3):
            return Pictures(
                pixels_MHW3, captions, told["data"], None, None, told["content"], unreadable
            )
    except (OSError, ValueError, KeyError):
        shutil.rmtree(path, ignore_errors=True)  # there are none, or they are damaged
    made = make()
    if made.pixels_MHW3.nbytes <= MOST_BYTES:
        _keep(path, made)
    return made


def _keep(path: Path, made: Pictures) -> None:
    told = {name: getattr(made, name) for name in _TOLD}
    try:
        with whole(path, shared=True) as aside:
            aside.mkdir()
            np.save(aside / "pixels.npy", made.pixels_MHW3, allow_pickle=False)
            (aside / "told.json").write_text(json.dumps(told), encoding="utf-8")
    except OSError:
        return  # they are decoded again the next time
