"""The short hash of users' files: content counts, and neither time nor place."""

import os
import shutil
from pathlib import Path

import pytest

from chiasm.data.fingerprint import WHOLE_BYTES, fingerprint
from chiasm.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    (made / "deep").mkdir(parents=True)
    (made / "a.txt").write_text("first")
    (made / "deep" / "b.txt").write_text("second")
    return made


def test_a_copy_is_the_same_data(folder: Path, tmp_path: Path) -> None:
    first = fingerprint(str(folder))
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    assert fingerprint(str(tmp_path / "copy")) == first
    assert len(first) == 16


@pytest.mark.parametrize(
    "change",
    [
        lambda made: (made / "a.txt").write_text("fIrst"),
        lambda made: (made / "a.txt").rename(made / "c.txt"),
        lambda made: (made / "deep" / "b.txt").unlink(),
        lambda made: (made / "new.txt").write_text(""),
    ],
)
def test_any_change_changes_it_whatever_the_time_stamps_say(change, folder: Path) -> None:
    before, times = fingerprint(str(folder)), (folder / "a.txt").stat()
    change(folder)
    for file in folder.rglob("*.txt"):
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert fingerprint(str(folder)) != before


def test_what_is_never_read_does_not_count(folder: Path) -> None:
    before = fingerprint(str(folder))
    (folder / "README.md").write_text("about it")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "a.txt").write_text("first")
    assert fingerprint(str(folder)) == before


def test_of_large_files_blocks_all_over_are_read(tmp_path: Path) -> None:
    file, size = tmp_path / "large.txt", 5 * WHOLE_BYTES
    hashes = set()
    for place in (None, 0, size // 63, size - 1):  # untouched, and a byte in three of the blocks
        content = bytearray(size)
        if place is not None:
            content[place] = 1
        file.write_bytes(content)
        hashes.add(fingerprint(str(file)))
    file.write_bytes(bytes(size + 1))
    assert len(hashes | {fingerprint(str(file))}) == 5


def test_names_that_are_no_unicode_count_too(folder: Path) -> None:
    hashes = set()
    for name in (b"\xff.txt", b"\xfe.txt"):
        file = folder / os.fsdecode(name)
        file.write_text("third")
        hashes.add(fingerprint(str(folder)))
        file.unlink()
    assert len(hashes) == 2


def test_a_file_that_cannot_be_read_is_one_clear_message(folder: Path) -> None:
    (folder / "a.txt").chmod(0)
    if os.access(folder / "a.txt", os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(UserError, match=r"path = .*: a\.txt cannot be read: Permission denied"):
        fingerprint(str(folder))


def test_nothing_there_has_none(tmp_path: Path) -> None:
    assert fingerprint(str(tmp_path / "nowhere")) == ""
