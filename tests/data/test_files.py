import tempfile
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.data.files import find_files, shown_name
from chiasm.errors import UserError

ROOT = Path("/data")


def found_names(path, root=None):
    found = find_files(str(path), "s.path")
    assert found is not None
    return [file.relative_to(root or found.root).as_posix() for file in found.data]


def test_a_path_is_a_file_a_folder_or_a_pattern(made, tmp_path):
    made.files(tmp_path, {"b/2.x": "", "a.x": "", "b/1.x": "", "b/deep/3.x": ""})
    assert found_names(tmp_path) == ["a.x", "b/1.x", "b/2.x", "b/deep/3.x"]
    assert found_names(tmp_path / "b" / "2.x") == ["2.x"]
    assert found_names(tmp_path / "*" / "*.x") == ["b/1.x", "b/2.x"]
    assert found_names(tmp_path / "**" / "[13].x", tmp_path) == ["b/1.x", "b/deep/3.x"]
    assert found_names(tmp_path / "b*", tmp_path) == ["b/1.x", "b/2.x", "b/deep/3.x"]
    assert find_files(str(tmp_path / "c"), "s.path") is None
    with pytest.raises(UserError, match=r"s\.path = '.*\*\.y' matches no file"):
        find_files(str(tmp_path / "*.y"), "s.path")


def test_patterns_count_from_the_working_folder_too(made, tmp_path, monkeypatch):
    made.files(tmp_path, {"data/train-0.x": "", "data/test-0.x": ""})
    monkeypatch.chdir(tmp_path)
    assert found_names("data/train-*.x") == ["train-0.x"]
    assert found_names("d*/t*") == ["data/test-0.x", "data/train-0.x"]


def test_a_list_with_a_file_that_is_not_there_is_refused_with_its_name(made, tmp_path):
    made.files(tmp_path, {f"{k}.tar": "no tar" for k in (0, 2, 9)})
    with pytest.raises(
        UserError,
        match=r"^s\.path = '.*\{0\.\.2\}\.tar' names files that are not there: \S*/1\.tar; fetch ",
    ):
        find_files(str(tmp_path / "{0..2}.tar"), "s.path")
    with pytest.raises(
        UserError, match=r"/1\.tar, \S*/3\.tar, \S*/4\.tar and 4 more; fetch them, or "
    ):
        find_files(str(tmp_path / "{0..9}.tar"), "s.path")
    assert found_names(tmp_path / "{0,2,9}.tar") == ["0.tar", "2.tar", "9.tar"]
    assert found_names(tmp_path / "*.tar") == ["0.tar", "2.tar", "9.tar"]  # which names no file


def test_so_is_a_list_of_addresses_before_any_is_opened():
    memory = fsspec.filesystem("memory")
    for name in ("0.tar", "2.tar"):
        memory.pipe(f"/listed/{name}", b"no tar")
    assert found_names("memory://listed/{0,2}.tar") == ["0.tar", "2.tar"]
    with pytest.raises(UserError, match=r"^s\.path = .* not there: memory://listed/1\.tar; fetch"):
        find_files("memory://listed/{0..2}.tar", "s.path")
    with pytest.raises(UserError, match=r"not there: memory://listed/1\.tar; fetch"):
        find_files("memory://listed/1.tar", "s.path")
    memory.store.clear()


@settings(max_examples=60, deadline=None)
@given(st.text("ab1 []*?{}!-~$().'\"", min_size=1, max_size=12).filter(lambda n: n[0] not in ".~"))
def test_a_folder_opens_whatever_it_is_called(name):
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder) / name / "b[2]"
        inside.mkdir(parents=True)
        (inside / "c?.x").write_text("")
        assert found_names(Path(folder) / name) == ["b[2]/c?.x"]
        assert found_names(inside / "c?.x") == ["c?.x"]
        assert found_names(inside / "*.x") == ["c?.x"]  # a pattern below folders that are there


@pytest.mark.parametrize(
    "name",
    [
        ".hidden/a.x", ".a.x", ".ipynb_checkpoints/a-checkpoint.x", "__MACOSX/._a.x", "._a.x",
        "Thumbs.db", "desktop.ini", "~$a.x", "deep/@eaDir/a.x", "cache-1f2e.arrow",
        "run/recipe.toml", "run/model/a.x",
    ],
)  # fmt: skip
def test_leavings_and_runs_are_never_read(name, made, tmp_path):
    made.files(tmp_path, {name: "", "run/recipe.toml": "", "run.x": "", "cached-1.arrow": ""})
    assert found_names(tmp_path) == ["cached-1.arrow", "run.x"]


@pytest.mark.parametrize(
    ("name", "is_data"),
    [
        ("LICENSE", False), ("License.txt", False), ("LICENSE-MIT", False), ("licences.txt", False),
        ("README.txt", False), ("readme.de.md", False), ("NOTICE", False), ("CITATION.cff", False),
        ("deep/README.md", False), ("dataset_info.json", False), ("state.json", False),
        ("changes.csv", True), ("notice.jsonl", True), ("license.jpg", True),
        ("license to kill.txt", True), ("Changes in the weather.txt", True), ("authors.tar", True),
        ("readme-first-please.txt", True), ("states.json", True),
    ],
)  # fmt: skip
def test_what_speaks_about_data_is_left_and_told(name, is_data, made, tmp_path):
    found = find_files(str(made.files(tmp_path, {name: ""})), "s.path")
    assert [found.data, found.left][not is_data] == (tmp_path / name,)
    assert not [found.left, found.data][not is_data]
    assert found_names(tmp_path / name) == [Path(name).name]  # whoever names it, means it


def test_links_are_followed_and_each_folder_is_read_once(made, tmp_path):
    made.files(tmp_path / "disk", {"one/a.x": "", "two/b.x": ""})
    root = tmp_path / "mine"
    made.files(root, {"c.x": "", "own/d.x": ""})
    (root / "far").symlink_to(tmp_path / "disk" / "one")
    (root / "again").symlink_to(root / "own")
    (root / "loop").symlink_to(root)
    (tmp_path / "disk" / "one" / "loop").symlink_to(root / "far")
    (root / "file.x").symlink_to(tmp_path / "disk" / "two" / "b.x")
    (root / "nothing.x").symlink_to(tmp_path / "gone")
    assert found_names(root) == ["c.x", "far/a.x", "file.x", "own/d.x"]
    assert find_files(str(root), "s.path").left == (root / "nothing.x",)
    (tmp_path / "link").symlink_to(root)
    assert found_names(tmp_path / "link") == ["c.x", "far/a.x", "file.x", "own/d.x"]


def test_a_folder_that_may_not_be_read_is_told(guarded):
    closed = guarded / "data" / "closed"
    closed.mkdir(parents=True)
    closed.chmod(0)
    with pytest.raises(UserError, match=r"s\.path: .*closed cannot be read: Permission denied"):
        find_files(str(guarded / "data"), "s.path")
    closed.chmod(0o755)


def test_names_that_are_shown_are_valid_unicode():
    file = ROOT / b"caf\xe9.csv".decode(errors="surrogateescape")
    assert shown_name(file, ROOT) == "caf\ufffd.csv"
    assert shown_name(ROOT / "a" / "b", ROOT) == "a/b"
    assert shown_name(ROOT / "a", ROOT / "b") == "/data/a"
