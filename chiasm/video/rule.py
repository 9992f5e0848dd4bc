"""How frames of videos become RGB, in words and as settings; :mod:`chiasm.video.colors` does it.

- **Matrix**: the one that the stream is tagged with. Without a tag BT.601 or BT.709, as asked for;
  ``by_size`` is BT.709 where the longer side has 1280 pixels or more, or the shorter one more than
  576, since most such files mean it.
- **Range**: limited, unless the stream is tagged as full.
- **More than 8 bits a channel**: rounded to 8.
- **High dynamic range** (transfer PQ or HLG): rolled off to what an ordinary screen shows, by
  :mod:`chiasm.video.hdr`. Linear and logarithmic transfers are refused; others, and primaries, are
  not converted.
- **Pixels that are not square** are made square by changing the width.
- **Orientation**: turned and mirrored by the display matrix, in quarters of a turn.
- Interlaced frames are taken as they are stored.
- **Size**: cropped to the centre and resized as pictures are. A frame that is at least eight times
  as large as it is to be is resized before it becomes RGB; not in high dynamic range.
"""

from __future__ import annotations

from typing import Literal

RULE = 3
"""Version of the rule above; latents computed under another one are invalid."""

Matrix = Literal["by_size", "bt601", "bt709"]
"""Matrix of files that do not name theirs."""

_LONG_HD, _SHORT_SD = 1280, 576


def is_hd(width: int, height: int) -> bool:
    """Returns whether files of this size mean BT.709 where they name no matrix."""
    return max(width, height) >= _LONG_HD or min(width, height) > _SHORT_SD
