"""Times of frames and of poses: read without loss, and paired.

Stamps are whole nanoseconds, since float64 has steps of 256 ns at today's count of them. A stamp
is read as seconds unless it is so large that it can only count milli-, micro- or nanoseconds
since 1970.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import numpy as np

_UNITS = ((Decimal(10) ** 17, 0), (Decimal(10) ** 14, 3), (Decimal(10) ** 11, 6))
"""From which number on a stamp since 1970 counts ns, µs or ms, and the zeros that ns add to it."""
_SECONDS = 9
_MOST_NANOSECONDS = 2**63 - 1


def nanoseconds(text: str) -> int:
    """A stamp, whole or broken, with or without an exponent.

    Raises:
        ValueError: it is no number, not finite, or too large.
    """
    try:
        stamp = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"time {text!r} is no number") from error
    if not stamp.is_finite():
        raise ValueError(f"time {text!r} is not finite")
    zeros = next((zeros for least, zeros in _UNITS if abs(stamp) >= least), _SECONDS)
    whole = int(stamp.scaleb(zeros).to_integral_value())
    if abs(whole) > _MOST_NANOSECONDS:
        raise ValueError(f"time {text!r} is too large")
    return whole


def pair_nearest(frame_F: np.ndarray, pose_P: np.ndarray, tolerance_ns: int) -> np.ndarray:
    """int64 [F]: for each frame the number of its pose, or -1.

    A pose belongs to the frame nearest to it alone, and to none farther than the tolerance; both
    are whole nanoseconds, the poses' rising.
    """
    after_F = np.searchsorted(pose_P, frame_F).clip(0, len(pose_P) - 1)
    before_F = (after_F - 1).clip(0)
    nearer_after = np.abs(pose_P[after_F] - frame_F) < np.abs(pose_P[before_F] - frame_F)
    nearest_F = np.where(nearer_after, after_F, before_F)
    gap_F = np.abs(pose_P[nearest_F] - frame_F)
    pairs_F = np.full(len(frame_F), -1)
    taken: set[int] = set()
    for frame in np.argsort(gap_F, kind="stable").tolist():
        pose = int(nearest_F[frame])
        if gap_F[frame] <= tolerance_ns and pose not in taken:
            pairs_F[frame] = pose
            taken.add(pose)
    return pairs_F
