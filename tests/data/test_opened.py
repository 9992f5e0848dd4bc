"""What users' folders say, from the files to the documents of both sides."""

import os

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from chiasm.errors import UserError


def test_pictures_are_told_apart_by_all_of_their_bytes(made, tmp_path):
    # A header and a last row that all share, as screenshots and scans have them.
    pixels = np.zeros((60, 32, 32, 3), np.uint8)
    pixels[np.arange(60), 8, 8] = np.arange(60)[:, None]
    files = {f"{k}.ppm": b"P6 32 32 255\n" + pixels[k].tobytes() for k in range(60)}
    made.files(tmp_path, files | {f"{k}.txt": f"{k}" for k in range(60)})
    opened = made.open(tmp_path, held_out_fraction=0.3)
    sides = [made.contents(side) for side in (opened.train, opened.held_out)]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 60
    assert 6 <= len(sides[1]) <= 30
    clusters = [opened.train.cluster_of(k) for k in range(len(opened.train))]
    assert len(set(clusters)) == len(sides[0])


def test_groups_are_held_out_whole(made, tmp_path):
    words = ["red", "barn", "snow", "hill"]
    rows = [
        {
            "text": " ".join(np.random.default_rng(k).permutation([*words, f"n{k // 5}"])),
            "of": k // 5,
        }
        for k in range(200)
    ]
    made.files(tmp_path, {"a.jsonl": made.json_lines(rows)})

    def examples(side):
        return {word for d in made.documents(side) for word in d.text.split() if word[0] == "n"}

    opened = made.open(tmp_path, "text", group_column="of", held_out_fraction=0.2)
    assert not (examples(opened.train) - {"n"}) & examples(opened.held_out)
    assert len(opened.train) + len(opened.held_out) == 200
    assert len(opened.held_out) % 5 == 0
    clusters = {opened.held_out.cluster_of(k) for k in range(len(opened.held_out))}
    assert len(clusters) == len(opened.held_out) // 5
    without = made.open(tmp_path, "text", held_out_fraction=0.2)
    assert examples(without.train) & examples(without.held_out)  # what the column is for


def test_a_group_on_both_sides_leaves_training(made, tmp_path):
    rows = [{"text": f"copy {k}", "of": k // 2} for k in range(6)]
    made.files(
        tmp_path,
        {"train.jsonl": made.json_lines(rows[:5]), "test.jsonl": made.json_lines(rows[5:])},
    )
    opened = made.open(tmp_path, "text", group_column="of")
    assert [d.text for d in made.documents(opened.train)] == [
        "copy 0",
        "copy 1",
        "copy 2",
        "copy 3",
    ]
    assert opened.facts.repeated == 1


@pytest.mark.parametrize("where", ["file", "folder", "pattern", "inside"])
def test_what_is_held_out_can_be_named(where, made, pictures, tmp_path):
    made.files(
        tmp_path / "mine",
        pictures("0.png", "1.png", "2.png") | {f"{k}.txt": f"{k}" for k in range(3)},
    )
    made.files(tmp_path / "other", {"5.png": made.picture_file(1), "5.txt": "five"})
    paths = {
        "file": "other/rows.csv",
        "folder": "other",
        "pattern": "oth*/*",
        "inside": "mine/2.png",
    }
    if where == "file":
        made.files(tmp_path, {"other/rows.csv": "file_name,text\n5.png,five\n"})
    if where == "inside":
        made.files(tmp_path / "mine", {"in.csv": "file_name,text\n2.png,two\n"})
        paths["inside"] = "mine/in.csv"
    opened = made.open(tmp_path / "mine" / "*.[pt]*", held_out_path=str(tmp_path / paths[where]))
    assert opened.held_out[0].text == ("caption: two" if where == "inside" else "caption: five")
    texts = {d.text for d in made.documents(opened.train)}
    assert texts == {f"{form}: {k}" for form in ("caption", "picture")
                     for k in ((0, 1) if where == "inside" else (0, 2))}  # fmt: skip
    assert opened.facts.repeated == 2
    assert opened.facts.held_out == 2


def test_words_of_another_column_are_told(made, tmp_path):
    made.files(tmp_path, {"a.csv": "text\na\nb\n", "b.csv": "caption,label\nc,1\n"})
    opened = made.open(tmp_path / "a.csv", "text", held_out_path=str(tmp_path / "b.csv"))
    assert opened.held_out[0].text == "c"
    assert opened.facts.notes[-1] == "held out are words from 'caption'"
    same = made.open(tmp_path / "a.csv", "text", held_out_path=str(made.files(
        tmp_path, {"c.csv": "text\nc\n"}) / "c.csv"))  # fmt: skip
    assert same.facts.notes == ("held out: c.csv (held_out_path)",)


def test_held_out_paths_that_take_everything_or_give_nothing_are_refused(made, tmp_path):
    made.files(tmp_path, {"a.csv": "text\na\nb\n", "b.csv": "text\n\n\n", "c.csv": "x\n1\n"})
    path = tmp_path / "a.csv"
    with pytest.raises(
        UserError, match=r"mine\.path = .* has no file to train on that .*mine\.held"
    ):
        made.open(path, "text", held_out_path=str(path))
    made.files(tmp_path, {"copy.csv": "text\na\nb\n"})
    with pytest.raises(UserError, match=r"mine\.held_out_path leaves nothing to train on: 2 of 2"):
        made.open(path, "text", held_out_path=str(tmp_path / "copy.csv"))
    for name, message in (("b.csv", r"mine\.held_out_path = .*b\.csv' holds no rows"),
                          ("c.csv", r"mine\.text_column is not set.*choose one of: x"),
                          ("gone.csv", r"mine\.held_out_path = .* does not exist")):  # fmt: skip
        with pytest.raises(UserError, match=message):
            made.open(path, "text", held_out_path=str(tmp_path / name))


def written(form, folder, made, word):
    """A table with one word of six letters in a form, or pictures with it beside them."""
    folder.mkdir(exist_ok=True)
    rows = [{"file_name": "../a.png", "text": word}]
    if form == "parquet":
        pa.parquet.write_table(pa.Table.from_pylist(rows), folder / "a.parquet", compression="none")
    elif form == "arrow":
        with pa.ipc.new_stream(
            str(folder / "a.arrow"), pa.Table.from_pylist(rows).schema
        ) as writer:
            writer.write_table(pa.Table.from_pylist(rows))
    elif form == "tar":
        made.tar(folder / "a.tar", [("1.png", made.picture_file(1)), ("1.txt", word)])
    else:
        lines = made.json_lines(rows)
        content = {
            "jsonl": lines,
            "json": f"[{lines}]",
            "csv": f"file_name,text\n../a.png,{word}\n",
            "tsv": f"file_name\ttext\n../a.png\t{word}\n",
            "txt": word,
        }
        made.files(folder, {f"a.{form}": content[form]})
        if form == "txt":
            made.files(folder, {"a.png": made.picture_file(1)})
    return next(file for file in folder.iterdir() if file.suffix == f".{form}")


@pytest.mark.parametrize("form", ["parquet", "arrow", "tar", "jsonl", "json", "csv", "tsv", "txt"])
def test_an_edited_file_is_read_anew_whatever_its_time_stamp(form, made, tmp_path):
    made.files(tmp_path, {"a.png": made.picture_file(1), "b.png": made.picture_file(2)})

    def opened(folder):
        held_out = tmp_path / "held.csv"
        held_out.write_text("file_name,text\nb.png,b\n")
        return made.open(tmp_path / folder, held_out_path=str(held_out))

    before = written(form, tmp_path / "one", made, "before")
    first = opened("one")
    assert first.train[0].text == "caption: before"
    copy = written(form, tmp_path / "two", made, "before")
    os.utime(copy, (1, 1))
    assert opened("two").facts.fingerprint == first.facts.fingerprint
    other = written(form, tmp_path / "three", made, "behind")
    made.edit_unseen(before, other.read_bytes())
    second = opened("one")
    assert second.train[0].text == "caption: behind"
    assert second.facts.fingerprint not in ("", first.facts.fingerprint)


def test_an_edited_text_is_cut_anew(made, tmp_path):
    made.files(tmp_path, {"a.txt": "one two. three"})
    opened = made.open(tmp_path, "text", document_characters=9)
    assert made.words(opened) == ["one two. ", "three"]
    made.edit_unseen(tmp_path / "a.txt", b"one. two three")
    again = made.open(tmp_path, "text", document_characters=9)
    assert made.words(again) == ["one. two ", "three"]
    assert again.facts.fingerprint != opened.facts.fingerprint
    other = made.open(tmp_path, "text", document_characters=8)
    assert other.facts.fingerprint != again.facts.fingerprint


def test_an_edited_picture_changes_the_fingerprint(made, tmp_path):
    def fingerprint(folder="mine"):
        return made.open(tmp_path / folder).facts.fingerprint

    for folder in ("mine", "copy"):
        files = {f"{k}.ppm": b"P6 1 1 255\n" + bytes([k, k, k]) for k in range(3)}
        made.files(tmp_path / folder, files | {f"{k}.txt": "words" for k in range(3)})
    assert fingerprint("copy") == fingerprint()
    before = fingerprint()
    made.edit_unseen(tmp_path / "mine" / "2.ppm", b"P6 1 1 255\nabc")
    assert fingerprint() != before


@pytest.mark.parametrize("both", [False, True])
def test_folders_that_datasets_saved_are_read(both, made, tmp_path):
    rows = [{"image": made.picture_file(k), "caption": f"{k}"} for k in range(4)]
    parts = {
        name: datasets.Dataset.from_list(rows[begin : begin + 2])
        for begin, name in ((0, "train"), (2, "test"))
    }
    if both:
        datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    else:
        parts["train"].save_to_disk(str(tmp_path / "saved"))
        leaving = next((tmp_path / "saved").glob("*.arrow")).read_bytes()
        made.files(tmp_path / "saved", {"cache-1f3a9c.arrow": leaving})
    opened = made.open(tmp_path / "saved")
    assert made.captions(opened) == (["0", "1", "2", "3"] if both else ["0", "1"])
    assert len(opened.held_out) == (4 if both else 2)


def test_rows_that_cannot_be_used_are_left_out_and_counted(made, pictures, tmp_path):
    made.files(tmp_path, pictures("0.png", "1.png") | {"empty.png": ""})
    rows = ["0.png,zero", "1.png,one", "2.png,two", "1.png", ",three", "0.png,  ", "empty.png,four"]
    made.files(tmp_path, {"rows.csv": "\r\n".join(["\ufefffile_name,text", *rows]) + "\r\n\r\n"})
    facts = made.open(tmp_path).facts
    assert facts.skipped == {
        "picture file missing": 1, "1 cells, and the header has 2": 1, "no file_name": 1,
        "no text": 1, "picture file empty": 1,
    }  # fmt: skip
    assert (facts.rows, facts.documents, facts.column, facts.image_column) == (
        7,
        4,
        "text",
        "file_name",
    )
    assert facts.kind == "image_text"
    assert facts.line("mine").startswith(
        "mine: 7 rows in rows.csv, pictures from 'file_name', words from 'text' -> 4 documents, "
        "2 of them held out; rows skipped: "
    )


@pytest.mark.parametrize(
    ("closed", "message"),
    [
        ("rows.csv", r"mine\.path = '.*': .*rows\.csv cannot be read: Permission denied"),
        ("a.txt", r"mine\.path = '.*': .*a\.txt cannot be read: Permission denied"),
        ("a.parquet", r"mine\.path = '.*': .*a\.parquet cannot be read: Permission denied"),
    ],
)
def test_files_that_may_not_be_read_are_one_clear_message(closed, message, made, guarded):
    made.files(guarded / "mine", {"a.png": made.picture_file(1), closed: "text\na\n"})
    (guarded / "mine" / closed).chmod(0)
    with pytest.raises(UserError, match=message):
        made.open(guarded / "mine")


def test_pictures_that_may_not_be_read_are_left_out_and_counted(made, pictures, guarded):
    made.files(guarded, pictures("a.png", "b.png", "c.png") | {f"{k}.txt": k for k in "abc"})
    (guarded / "c.png").chmod(0)
    facts = made.open(guarded).facts
    assert facts.skipped == {"picture file cannot be read (Permission denied)": 1}


def test_at_least_one_is_held_out_and_one_trained_on(made, tmp_path):
    made.files(tmp_path, {"a.csv": "text\na\nb\n"})
    opened = made.open(tmp_path, "text", held_out_fraction=0.001)
    assert (len(opened.train), len(opened.held_out)) == (1, 1)
    made.files(tmp_path, {"a.csv": "text\na\na\n"})
    with pytest.raises(
        UserError, match=r"leaves nothing to train on .* hold 1 different; give more"
    ):
        made.open(tmp_path, "text")
