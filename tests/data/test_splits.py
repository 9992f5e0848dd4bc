from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.data.splits import split_by_name, split_folders

ROOT = Path("/data")


def split(*names, by_file=True):
    found = split_by_name(ROOT, [ROOT / name for name in names], by_file=by_file)
    sides = (found.train, found.held_out, found.left)
    return tuple([file.relative_to(ROOT).as_posix() for file in side] for side in sides)


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
