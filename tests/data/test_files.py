import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.data.files import find_files, shown_name, split_by_name, split_folders
from chiasm.errors import UserError

ROOT = Path("/data")


def found_names(path, root=None):
    found = find_files(str(path), "s.path")
    assert found is not None
    return [file.relative_to(root or found.root).as_posix() for file in found.data]


def split(*names, by_file=True):
    found = split_by_name(ROOT, [ROOT / name for name in names], by_file=by_file)
    sides = (found.train, found.held_out, found.left)
    return tuple([file.relative_to(ROOT).as_posix() for file in side] for side in sides)


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


@pytest.mark.parametrize(
    ("names", "train", "held_out"),
    [
        (["train.txt", "valid.txt"], ["train.txt"], ["valid.txt"]),
        (["train.jsonl", "dev.jsonl", "test.jsonl"], ["train.jsonl"], ["dev.jsonl"]),
        (["a.txt", "test.txt"], ["a.txt"], ["test.txt"]),
        (["mine_train.csv", "mine_val.csv"], ["mine_train.csv"], ["mine_val.csv"]),
        (["cc-train-0001.tar", "cc-test-0001.tar"], ["cc-train-0001.tar"], ["cc-test-0001.tar"]),
        (
            ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet",
             "data/validation-00000-of-00001.parquet"],
            ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
            ["data/validation-00000-of-00001.parquet"],
        ),
        (
            ["train-00000-of-00001-8a7b6c5d4e3f2a1b.parquet",
             "test-00000-of-00001-0123456789abcdef.parquet"],
            ["train-00000-of-00001-8a7b6c5d4e3f2a1b.parquet"],
            ["test-00000-of-00001-0123456789abcdef.parquet"],
        ),
        (["train.parquet", "test-00000-of-00001.parquet"], ["train.parquet"],
         ["test-00000-of-00001.parquet"]),
        (["train/x.csv", "test/x.csv", "validation/x.csv"], ["train/x.csv"],
         ["validation/x.csv"]),
        (["train/cat/0.png", "train/dog/0.png", "test/cat/0.png"],
         ["train/cat/0.png", "train/dog/0.png"], ["test/cat/0.png"]),
        (["images/train2017/a.jpg", "images/val2017/b.jpg"], ["images/train2017/a.jpg"],
         ["images/val2017/b.jpg"]),
        (["train_images/a.jpg", "val_images/b.jpg"], ["train_images/a.jpg"], ["val_images/b.jpg"]),
        (
            ["train-clean-100/a.txt", "train-other-500/b.txt", "dev-clean/c.txt"],
            ["train-clean-100/a.txt", "train-other-500/b.txt"], ["dev-clean/c.txt"],
        ),
        (
            ["de/test/a.txt", "de/train/b.txt", "en/test/c.txt", "en/train/d.txt"],
            ["de/train/b.txt", "en/train/d.txt"], ["de/test/a.txt", "en/test/c.txt"],
        ),
        (["TRAIN/a.csv", "Val/a.csv"], ["TRAIN/a.csv"], ["Val/a.csv"]),
    ],
)  # fmt: skip
def test_files_and_folders_called_after_splits_are_told_apart(names, train, held_out):
    rest = [name for name in names if name not in (*train, *held_out)]
    assert split(*names) == (train, held_out, rest)


@pytest.mark.parametrize(
    "names",
    [
        ["train/0.png", "bus/0.png"],
        ["val/0.png", "test/0.png", "barn/0.png"],
        ["train/0.png"],
        ["test.jsonl"],
        ["test-0.tar", "test-1.tar"],
        ["toy train.txt", "blood test.txt"],
        ["test-of-time.txt", "training-day.txt", "emma.txt"],
        ["contest.csv", "restrain.csv", "evaluate.csv"],
        ["dev/a.py.txt", "src/b.py.txt"],
    ],
)
def test_words_of_splits_that_nothing_agrees_with_are_none(names):
    assert split(*names) == (names, [], [])


def test_names_of_pictures_never_tell_splits():
    names = [f"red/{name}.png" for name in ("toy train", "test", "train", "valid")]
    assert split(*names, by_file=False) == (names, [], [])


def test_names_that_could_be_splits_and_are_trained_on_are_told():
    def doubtful(*names, by_file=True):
        return split_by_name(ROOT, [ROOT / n for n in names], by_file=by_file).doubtful

    assert doubtful("train/0.png", "test/0.png", "barn/0.png", by_file=False) == ("test/",)
    assert doubtful("train_full.csv", "val_small.csv") == ("val_small.csv",)
    assert doubtful("train.csv", "val.csv") == ()
    assert doubtful("test.csv") == ()


LABELS = st.text("abcdefgh -_.", min_size=1, max_size=8).filter(
    lambda name: name.strip(" .") == name and name[0] not in ".~"
)
WORDS = st.sampled_from(["train", "training", "val", "valid", "validation", "dev", "test", "eval"])


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(labels=st.sets(LABELS, min_size=1, max_size=5), word=WORDS, above=st.lists(LABELS))
def test_a_label_called_after_a_split_beside_other_labels_is_a_label(labels, word, above):
    names = [Path(*above, label, "0.png") for label in (*labels, word)]
    assert split_folders(names) == {}
    names = [str(name) for name in names]
    assert split(*names, by_file=False) == (names, [], [])


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    base=st.text("abcxyz", max_size=6),
    words=st.sets(WORDS, min_size=1),
    between=st.sampled_from("-_."),
    shards=st.integers(1, 3),
    hashed=st.booleans(),
    folder=st.sampled_from(["", "data/", "test data/"]),
)
def test_shards_are_told_apart_by_the_word_alone(base, words, between, shards, hashed, folder):
    words = {*words, "train"}
    word_of = {}
    for number, word in enumerate(sorted(words)):
        for shard in range(shards):
            stem = between.join(part for part in (base, word, f"{shard:05}") if part)
            end = f"-{number * 7 + shard:016x}" if hashed else ""
            word_of[f"{folder}{stem}-of-{shards:05}{end}.parquet"] = word
    train, held_out, left = split(*word_of)

    def called(*wanted):
        return [name for name, word in word_of.items() if word in wanted]

    validation = called("val", "valid", "validation", "dev")
    test = called("test", "eval")
    assert train == called("train", "training")
    assert (held_out, left) == ((validation, test) if validation else (test, []))
