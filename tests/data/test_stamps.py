from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.data.stamps import nanoseconds, pair_nearest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1305031229.528748", 1305031229528748000),  # TUM: seconds
        ("1403636579763555584", 1403636579763555584),  # EuRoC: ns, finer than float64 holds
        ("1.40363657975856E+018", 1403636579758560000),  # gone through a spreadsheet
        ("1532402927612460", 1532402927612460000),  # nuScenes: µs
        ("1706111016186", 1706111016186000000),  # ms
        ("0.05", 50_000_000),
        ("-2", -2_000_000_000),
        ("0", 0),
    ],
)
def test_stamps_lose_nothing(text: str, expected: int):
    assert nanoseconds(text) == expected


def test_a_unit_may_be_given():
    assert nanoseconds("1706111016186", 6) == 1706111016186000000
    assert nanoseconds("1706111016186", 0) == 1706111016186


@given(st.integers(10**17, 2**63 - 1))
def test_whole_nanoseconds_come_back(stamp: int):
    assert nanoseconds(str(stamp)) == stamp


@pytest.mark.parametrize(
    "text", ["", "noon", "nan", "inf", "1e99", "0x10", "1e999999999", "9" * 5000]
)
def test_what_is_no_time_is_refused(text: str):
    for zeros in (None, 0):
        with pytest.raises(ValueError, match=r"time '.*' is") as caught:
            nanoseconds(text, zeros)
        assert len(str(caught.value)) < 100


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=12, unique=True).map(sorted),
    st.lists(st.integers(0, 400), min_size=1, max_size=12, unique=True).map(sorted),
    st.integers(0, 60),
)
def test_frames_get_their_nearest_pose_once(frames: list, poses: list, tolerance: int):
    epoch = 1_403_636_579_763_555_584  # where float64 could not tell them apart
    frame_F, pose_P = (np.array(times, np.int64) + epoch for times in (frames, poses))
    pair_F = pair_nearest(frame_F, pose_P, tolerance)
    used = pair_F[pair_F >= 0].tolist()
    assert len(set(used)) == len(used)
    for frame, pose in zip(frames, pair_F.tolist(), strict=True):
        least = min(abs(time - frame) for time in poses)
        if pose >= 0:
            assert abs(poses[pose] - frame) == least <= tolerance
        elif least <= tolerance:  # another frame is as near or nearer to it
            nearest = [k for k, time in enumerate(poses) if abs(time - frame) == least]
            others = [abs(poses[k] - f) for k in nearest for f in frames if f != frame]
            assert Fraction(min(others)) <= least
