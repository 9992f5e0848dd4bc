"""Times of frames and of poses: read without loss, and paired.

Stamps are whole nanoseconds, since float64 has steps of 256 ns at today's count of them. A stamp
is read as seconds unless it is so large that it can only count milli-, micro- or nanoseconds
since 1970.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import numpy as np

_UNITS = ((Decimal(10) ** 17, 0), (Decimal(10) ** 14, 3), (Decimal(10) ** 11, 6))
"""Least stamps since 1970 that count ns, µs or ms, and the power of ten that makes them ns."""
_SECONDS = 9
_MOST_NANOSECONDS, _DIGITS = 2**63 - 1, 19
"""The largest stamp, and how many digits it has."""
_SHOWN = 40


def nanoseconds(text: str, zeros: int | None = None) -> int:
    """Returns a stamp in ns; the text may have decimals and an exponent.

    ``zeros`` is the power of ten that makes it ns; None: by its size, as above.

    Raises:
        ValueError: it is no number, not finite, or too large.
    """
    try:
        stamp = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"time {text[:_SHOWN]!r} is no number") from error
    if not stamp.is_finite():
        raise ValueError(f"time {text!r} is not finite")
    if zeros is None:
        zeros = next((own for least, own in _UNITS if stamp.copy_abs() >= least), _SECONDS)
    if stamp.adjusted() + zeros < _DIGITS:
        whole = int(stamp.scaleb(zeros).to_integral_value())
        if abs(whole) <= _MOST_NANOSECONDS:
            return whole
    raise ValueError(f"time {text[:_SHOWN]!r} is too large")


def pair_nearest(frame_F: np.ndarray, pose_P: np.ndarray, tolerance_ns: int) -> np.ndarray:
    """Returns the number of each frame's pose, or -1: int64 [F].

    Each frame takes the pose nearest to it, if it is within the tolerance and no nearer frame has
    taken it. Stamps are whole nanoseconds, those of poses rising.
    """
    after_F = np.searchsorted(pose_P, frame_F).clip(0, len(pose_P) - 1)
    before_F = (after_F - 1).clip(0)
    nearer_after = np.abs(pose_P[after_F] - frame_F) < np.abs(pose_P[before_F] - frame_F)
    nearest_F = np.where(nearer_after, after_F, before_F)
    gap_F = np.abs(pose_P[nearest_F] - frame_F)
    pairs_F = np.full(len(frame_F), -1)
    # Nearest pairs first: a pose goes to the nearest of the frames that share it.
    taken: set[int] = set()
    for frame in np.argsort(gap_F, kind="stable").tolist():
        pose = int(nearest_F[frame])
        if gap_F[frame] <= tolerance_ns and pose not in taken:
            pairs_F[frame] = pose
            taken.add(pose)
    return pairs_F
