import gzip
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chiasm.data.copies import HARMLESS_BYTES, copied, unpacked
from chiasm.errors import UserError

SHARED = [HealthCheck.function_scoped_fixture]


@settings(deadline=None, max_examples=20, suppress_health_check=SHARED)
@given(st.binary(max_size=2000))
def test_what_was_packed_is_unpacked(tmp_path, content):
    file = tmp_path / "a.gz"
    file.write_bytes(gzip.compress(content[:700]) + gzip.compress(content[700:]))
    assert unpacked(file).read_bytes() == content


@settings(deadline=None, max_examples=40, suppress_health_check=SHARED)
@given(st.data())
def test_a_damaged_file_is_one_clear_message(tmp_path, data):
    whole = bytearray(gzip.compress(b"some words, " * 40, mtime=0))
    file = tmp_path / "a.gz"
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(1, len(whole) - 1))]
    else:
        last = len(whole) - 9  # without the bits that fill up its last byte
        whole[data.draw(st.integers(10, last - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(whole)
    with pytest.raises(UserError, match=r"a\.gz cannot be read as gzip \(.*fetch or write it"):
        unpacked(file)


def test_a_bomb_is_refused_and_leaves_nothing(tmp_path, made):
    file = tmp_path / "a.gz"
    file.write_bytes(gzip.compress(bytes(HARMLESS_BYTES + 1), 9))
    with pytest.raises(UserError, match=r"a\.gz grows more than 200 times.*as bombs do"):
        unpacked(file)
    harmless = tmp_path / "b.gz"
    harmless.write_bytes(gzip.compress(b" " * (1 << 20), 9))
    copy = unpacked(harmless)
    assert list(copy.parent.iterdir()) == [copy]


def test_equal_files_share_a_copy_and_others_have_their_own(tmp_path):
    made = []

    def copy(name, content):
        file = tmp_path / name
        file.write_bytes(content)

        def write(aside):
            made.append(name)
            aside.write_bytes(content)

        return copied(file, ".copy", write)

    assert copy("a", b"one") == copy("b", b"one") != copy("a", b"two")
    assert made == ["a", "a"]


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(UserError, match=r"gone\.gz cannot be read: No such file"):
        unpacked(tmp_path / "gone.gz")
    assert not os.listdir(tmp_path)
