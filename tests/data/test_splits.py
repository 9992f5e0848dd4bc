from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.data.splits import split_by_name, split_folders
from chiasm.errors import UserError

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


def test_words_of_splits_in_names_of_pictures_are_no_splits(made, pictures, tmp_path):
    names = ["toy train.png", "test.png", "valid 3.png", "4.png"]
    made.files(
        tmp_path, pictures(*(f"{label}/{name}" for label in ("blue", "red") for name in names))
    )
    opened = made.open(tmp_path)
    assert made.captions(opened) == ["blue"] * 4 + ["red"] * 4
    assert opened.facts.documents == 16
    assert opened.facts.column == "label"
    assert opened.facts.notes == ()


@pytest.mark.parametrize("word", ["train", "val", "test"])
def test_a_label_called_after_a_split_is_a_label(word, made, pictures, tmp_path):
    made.files(
        tmp_path, pictures(*(f"{label}/{k}.png" for label in (word, "bus") for k in range(3)))
    )
    assert made.captions(made.open(tmp_path)) == sorted(["bus", word] * 3)


def test_folders_called_after_splits_are_both_sides(made, pictures, tmp_path):
    sides = ("train", "validation", "test")
    names = [f"{side}/{label}/0.png" for side in sides for label in ("cat", "dog")]
    made.files(tmp_path, pictures(*names))
    opened = made.open(tmp_path)
    assert [d.text for d in made.documents(opened.held_out)][::2] == [
        "caption: cat",
        "caption: dog",
    ]
    assert (opened.facts.rows, opened.facts.documents, opened.facts.held_out) == (4, 8, 4)
    assert opened.facts.notes == (
        "held out by name: validation/cat/0.png, validation/dog/0.png",
        "not read: test/cat/0.png, test/dog/0.png",
    )


@pytest.mark.parametrize(
    "files",
    [
        ["data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"],
        ["train.jsonl", "dev.jsonl"],
        ["train/rows.csv", "test/rows.csv"],
        ["train.txt", "valid.txt"],
    ],
)
def test_files_called_after_splits_are_both_sides(files, made, tmp_path):
    train = [f"line {k}" for k in range(9)]
    for file, texts in zip(files, (train, ["line 3", "line 9"]), strict=True):
        (tmp_path / file).parent.mkdir(exist_ok=True, parents=True)
        if file.endswith("parquet"):
            pa.parquet.write_table(pa.table({"text": texts}), tmp_path / file)
        else:
            rows = made.json_lines({"text": text} for text in texts)
            content = {"txt": "\n".join(texts), "csv": "\n".join(["text", *texts]), "jsonl": rows}
            (tmp_path / file).write_text(content[file.rpartition(".")[2]])
    opened = made.open(tmp_path, "text", document_characters=7)
    assert [d.text.strip() for d in made.documents(opened.held_out)] == ["line 3", "line 9"]
    assert len(opened.train) == 8
    assert opened.facts.repeated == 1
    assert opened.facts.files == tuple(files)
    assert "1 documents on both sides are not trained on" in opened.facts.line("mine")


def test_tables_of_split_folders_count_their_paths_from_themselves(made, pictures, tmp_path):
    made.files(tmp_path, pictures("train/a.png", "validation/a.png"))
    for side in ("train", "validation"):
        made.files(
            tmp_path / side, {"metadata.jsonl": f'{{"file_name": "a.png", "text": "{side}"}}'}
        )
    opened = made.open(tmp_path)
    assert opened.held_out[0].text == "caption: validation"
    assert made.contents(opened.held_out) == {(tmp_path / "validation/a.png").read_bytes()}


def test_folders_as_of_coco_hold_out_and_want_captions(made, pictures, tmp_path):
    names = ["images/train2017/1.jpg", "images/train2017/2.jpg", "images/val2017/3.jpg"]
    made.files(tmp_path, pictures(*names))
    made.files(
        tmp_path, {"annotations/captions.json": '{"images": [{"id": 1}], "annotations": [{}]}'}
    )
    with pytest.raises(UserError, match=r"no captions were found; write metadata\.jsonl"):
        made.open(tmp_path)
    for name in names:
        made.files(tmp_path, {name.replace("jpg", "txt"): f"a picture of {name[-5]}"})
    opened = made.open(tmp_path)
    assert [d.text for d in made.documents(opened.held_out)][:1] == ["caption: a picture of 3"]
    assert opened.facts.files == tuple(names)
    with pytest.raises(UserError, match=r"captions\.json is no list of JSON objects"):
        made.open(tmp_path / "annotations" / "captions.json")


def test_a_file_of_another_name_that_is_trained_on_beside_splits_is_told(made, tmp_path):
    files = {name: f"words of {name}" for name in ("train.txt", "my_valid.txt", "test.txt")}
    made.files(tmp_path, files)
    notes = made.open(tmp_path, kind="text").facts.notes
    assert notes == ("held out by name: test.txt", "trained on whatever it is called: my_valid.txt")


def test_a_column_of_splits_is_told_as_unread(made, tmp_path):
    rows = "".join(f'{{"text": "story {k}", "split": "test"}}\n' for k in range(9))
    made.files(tmp_path, {"all.jsonl": rows})
    assert made.open(tmp_path, kind="text").facts.notes == ("the column 'split' is not read",)
