import fsspec
import pytest

from chiasm.data.reading import LostError
from chiasm.data.storage import GONE, absent, listed, opened, path_of, read_part, stamp, url_of
from chiasm.errors import UserError


@pytest.fixture
def memory():
    """A file system that is no disk; what a test leaves there is gone afterwards."""
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()


def test_parts_of_files_that_shrank_or_vanished_are_told(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"0123456789")
    assert read_part(file, 2, 5) == b"234"
    assert read_part(file, 2, 2) == b""
    file.write_bytes(b"0123")
    with pytest.raises(LostError, match=r"/a has become shorter since it was opened"):
        read_part(file, 2, 5)
    file.unlink()
    with pytest.raises(LostError, match=r"/a cannot be read: No such file"):
        read_part(file, 2, 5)


def test_parts_of_files_elsewhere_are_read_as_those_here(memory):
    memory.pipe("/bucket/a", b"0123456789")
    file = path_of("memory://bucket/a")
    assert read_part(file, 2, 5) == b"234"
    with opened(file) as source:
        assert (source.size, source.read_at(7, 9), source.read_at(1, 2)) == (10, b"789", b"12")
    memory.pipe("/bucket/a", b"0123")
    with pytest.raises(LostError, match=r"memory://bucket/a has become shorter"):
        read_part(file, 2, 5)
    memory.rm("/bucket/a")
    with pytest.raises(LostError, match=r"memory://bucket/a cannot be read"):
        read_part(file, 2, 5)


@pytest.mark.parametrize(
    "url", ["s3://bucket/a/0.tar", "hf://datasets/o/n/a.tar", "simplecache::s3://b/x.tar"]
)
def test_addresses_are_paths_and_paths_addresses(url):
    assert url_of(path_of(url)) == url
    assert path_of(url).name == url.rpartition("/")[2]


def test_paths_of_this_machine_are_no_addresses(tmp_path):
    assert [url_of(path) for path in (tmp_path, tmp_path.relative_to("/"))] == ["", ""]
    assert path_of(f"file://{tmp_path}/a.tar") == tmp_path / "a.tar"


def test_patterns_and_folders_elsewhere_are_listed(memory):
    for name in ("a-0.tar", "a-1.tar", "b-0.tar"):
        memory.pipe(f"/bucket/{name}", b"x")

    def names(url):
        return sorted(file.name for file in listed(url, "path"))

    assert names("memory://bucket/a-*.tar") == ["a-0.tar", "a-1.tar"]
    assert names("memory://bucket") == ["a-0.tar", "a-1.tar", "b-0.tar"]
    assert names("memory://bucket/none.tar") == ["none.tar"]  # whether it is there is asked apart
    with pytest.raises(UserError, match=r"^path = 'memory://bucket/c-\*\.tar' has no files"):
        listed("memory://bucket/c-*.tar", "path")
    with pytest.raises(UserError, match=r"nowhere://x/a\.tar cannot be opened \(.*nowhere"):
        listed("nowhere://x/a.tar", "path")


def test_a_stamp_changes_with_its_file(made, memory, tmp_path):
    file = tmp_path / "a"
    assert stamp(str(file)) == GONE
    file.write_bytes(b"old")
    before = stamp(str(file))
    assert stamp(str(file)) == before != GONE
    made.edit_unseen(file, b"new")
    after = stamp(str(file))
    assert after[:2] == before[:2]  # size and time stamp say nothing
    assert after != before
    memory.pipe("/b/x.tar", b"old")
    elsewhere = str(path_of("memory://b/x.tar"))
    before = stamp(elsewhere)
    assert before == stamp(elsewhere) != GONE
    memory.pipe("/b/x.tar", b"newer")
    assert stamp(elsewhere) != before
    assert stamp(str(path_of("memory://b/y.tar"))) == GONE


def test_addresses_at_which_there_is_no_file_are_told_apart(memory):
    for name in ("a/0.tar", "a/2.tar", "b/0.tar"):
        memory.pipe(f"/bucket/{name}", b"x")
    names = ("a/0.tar", "a/1.tar", "b/0.tar", "c/0.tar", "a")
    files = [path_of(f"memory://bucket/{name}") for name in names]
    assert absent(files) == [files[1], files[3]]  # a folder is listed when it is opened
