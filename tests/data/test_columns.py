import json
import re

import datasets
import pyarrow as pa
import pyarrow.parquet
import pytest

from chiasm.data import kinds  # noqa: F401
from chiasm.data.arrow_tables import open_arrow
from chiasm.data.line_tables import Csv, JsonLines
from chiasm.data.media_files import MediaFiles
from chiasm.data.media_folder import MediaFolder
from chiasm.data.source import SOURCES
from chiasm.errors import UserError


def columns(kind="image_text", **settings):
    return SOURCES.of(kind).model_validate(settings)


@pytest.fixture
def table(made, tmp_path):
    """A table of rows in a folder with the picture a.png, and one in the folder above."""
    made.files(tmp_path, {"deep/a.png": "x", "b.png": "x"})

    def opened(*rows):
        made.files(tmp_path / "deep", {"rows.jsonl": made.json_lines(rows)})
        return JsonLines(tmp_path / "deep" / "rows.jsonl")

    return opened


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"label": "x", "caption": "y"}, "caption"),
        ({"text": "x", "caption": "y"}, "text"),
        ({"label": 3}, "label"),
        ({"label": 3, "label_name": "cat"}, "label_name"),
        ({"label": "3", "label_text": "cat"}, "label_text"),
        ({"label": "cat", "label_name": "x"}, "label"),
        ({"text": "1999"}, "text"),
    ],
)
def test_words_come_from_the_first_usual_column(row, column, table):
    assert columns("text").words(table(row)) == (column,)


def test_a_column_that_is_wanted_is_taken(table):
    rows = table({"label": 3, "label_name": "cat", "text": "x", "in": "a.png", "image": "a.png"})
    assert columns(text_column="label").words(rows) == ("label",)
    assert columns(image_column="in").files_column(rows, MediaFiles()) == "in"
    with pytest.raises(UserError, match=r"^text_column = 'tag' is no column; there are: label"):
        columns(text_column="tag").words(rows)
    with pytest.raises(UserError, match=r"^group_column = 'of' is no column"):
        columns(group_column="of").group(rows)
    assert columns().group(rows) == ""
    assert columns(group_column="in").group(rows) == "in"


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"image": "a.png"}, "image"),
        ({"image": "nowhere.png", "file_name": "a.png"}, "file_name"),
        ({"image": "a barn", "path": "b.png"}, "path"),
        ({"image": 3, "file_name": "a.png"}, "file_name"),
        ({"image": "x" * 5000, "file_name": "a.png"}, "file_name"),
        ({"image": ["a.png"]}, "image"),
        ({"image": "nowhere.png"}, "image"),
    ],
)
def test_pictures_come_from_the_first_usual_column_that_holds_some(row, column, table, tmp_path):
    assert columns().files_column(table({"caption": "x"}, row), MediaFiles(tmp_path)) == column


def test_a_table_fits_that_has_all_that_is_needed(table):
    def fits(row, kind="image_text", alone=False, **settings):
        return columns(kind, **settings).fits(table(row), MediaFiles(), alone=alone)

    assert fits({"image": "a.png", "text": "x"})
    assert not fits({"image": "a.png"})
    assert not fits({"text": "x"})
    assert not fits({"image": "in/a/tar.png", "text": "x"})
    assert fits({"image": "in/a/tar.png", "text": "x"}, image_column="image")
    assert fits({"image": "a.png"}, alone=True)
    assert fits({"caption": "x"}, "text")
    row = {"image": "a.png", "question": "x", "answer": "y"}
    assert fits(row, "vqa")
    assert not fits(row, "vqa", answer_column="answers")
    assert columns("vqa").words(table(row)) == ("question", "answer")
    assert fits({"spans": ["x"]}, "interleaved")
    assert not fits({"text": "x"}, "interleaved")


def test_a_ragged_row_does_not_hide_a_table(made, tmp_path):
    made.files(tmp_path, {"a.png": "x", "rows.csv": "image,text\na.png,1,2\nb\na.png,3\n"})
    rows = Csv(tmp_path / "rows.csv")
    assert columns().fits(rows, MediaFiles())
    assert columns().files_column(rows, MediaFiles()) == "image"
    assert columns().words(rows) == ("text",)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("image_text", {"file_name": "barn.jpg", "text": "a red barn in the snow"}),
        ("vqa", {"file_name": "barn.jpg", "question": "is it a barn?", "answer": "yes"}),
    ],
)
def test_pictures_without_words_say_how_to_write_them(kind, line, tmp_path):
    pictures = MediaFolder(tmp_path, [tmp_path / "a.png"], [])
    for part in (pictures, pictures.of_files({tmp_path / "a.png"})):
        with pytest.raises(
            UserError, match=f"write metadata.jsonl .*{re.escape(json.dumps(line))}"
        ):
            columns(kind).columns(part, MediaFiles(), alone=False)
        assert columns(kind).columns(part, MediaFiles(), alone=True) == ("image",)


def test_a_table_fits_whose_words_are_refused_when_they_are_read(table):
    rows = table({"image": "a.png", "text": {"raw": "x"}})
    assert columns().fits(rows, MediaFiles())


def test_without_usual_names_encoded_pictures_are_looked_for(made, tmp_path):
    for cell in (made.picture_file(1), {"bytes": made.picture_file(1), "path": None}):
        rows = [{"words": "a", "n": 1, "raw": b"no picture", "shown": cell, "other": cell}]
        pa.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
        assert columns().files_column(open_arrow(tmp_path / "a.parquet"), MediaFiles()) == "shown"


def test_a_name_with_dots_leads_into_a_cell(table):
    rows = table({"image": "a.png", "meta": {"caption": {"en": "a barn"}}, "a.b": "x"})
    assert columns(text_column="meta.caption.en").words(rows) == ("meta.caption.en",)
    assert columns(text_column="a.b").words(rows) == ("a.b",)
    with pytest.raises(UserError, match=r"^text_column = 'mete\.caption' is no column"):
        columns(text_column="mete.caption").words(rows)


def test_groups_are_of_rows_that_are_read():
    with pytest.raises(UserError, match=r"^group_column = 'of' is read from rows, which known_by"):
        columns(path="x", known_by="name", group_column="of").check()


def test_words_beside_pictures_come_before_labels(made, pictures, tmp_path):
    made.files(tmp_path, pictures(*(f"{label}/{k}.png" for label in ("a", "b") for k in range(2))))
    made.files(
        tmp_path, {f"{label}/{k}.txt": f"{label} {k}" for label in ("a", "b") for k in range(2)}
    )
    opened = made.open(tmp_path)
    assert made.captions(opened) == ["a 0", "a 1", "b 0", "b 1"]
    assert opened.facts.column == "text"
    assert made.captions(made.open(tmp_path, text_column="label")) == ["a", "a", "b", "b"]


def test_labels_speak_their_names(made, tmp_path):
    label = datasets.ClassLabel(names=["cat", "dog"])
    features = datasets.Features({"image": datasets.Image(), "label": label})
    rows = {
        "image": [{"bytes": made.picture_file(k), "path": None} for k in range(3)],
        "label": [1, 0, -1],
    }
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "a.parquet"))
    opened = made.open(tmp_path)
    assert made.captions(opened) == ["cat", "dog"]
    assert opened.facts.skipped == {"no label": 1}
    frame = {
        "label": [0, 1, 1],
        "label_text": ["neg", "pos", "pos"],
        "image": [r["bytes"] for r in rows["image"]],
    }
    pa.parquet.write_table(pa.table(frame), tmp_path / "a.parquet")
    assert made.captions(made.open(tmp_path)) == ["neg", "pos", "pos"]
    frame["label"] = pa.array(["no", "yes", "yes"]).dictionary_encode()
    pa.parquet.write_table(pa.table(frame), tmp_path / "a.parquet")
    assert made.captions(made.open(tmp_path)) == ["no", "yes", "yes"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"kind": "image_text", "text_column": "tags"},
            r"mine\.path: 2 of 2 rows cannot .*column 'tags' holds dictionaries \(of a\); name one",
        ),
        ({"kind": "text", "text_column": "tags"}, r"mine\.path: 2 of 2 rows .*as tags\.a\)"),
        ({"kind": "vqa"}, r"mine\.question_column = 'question' is no column; there are: image, "),
        (
            {"kind": "image_text", "image_column": "url"},
            r"mine\.path = '.*': column 'url' holds web",
        ),
        (
            {"kind": "image_text", "image_column": "caption"},
            r"mine\.path: 2 of 2 rows cannot be used",
        ),
        ({"kind": "image_text", "group_column": "of"}, r"mine\.group_column = 'of' is no column"),
    ],
)
def test_mistakes_in_columns_are_one_clear_message(settings, message, made, pictures, tmp_path):
    made.files(tmp_path, pictures("0.png", "1.png"))
    rows = [
        {"image": f"{k}.png", "caption": "words " * 99, "tags": {"a": 1}, "url": "https://a/b"}
        for k in range(2)
    ]
    made.files(tmp_path, {"rows.jsonl": made.json_lines(rows)})
    with pytest.raises(UserError, match=rf"^stream\.sources\.{message}"):
        made.open(tmp_path, **settings)


def test_names_of_labels_are_no_texts(made, pictures, tmp_path):
    made.files(tmp_path, pictures("cat/0.png", "dog/1.png"))
    with pytest.raises(UserError, match="holds nothing that can be read"):
        made.open(tmp_path, kind="text")


def test_captions_in_a_form_that_is_not_read_are_named(made, pictures, tmp_path):
    captions = '{"images": [{"id": 1}], "annotations": [{"image_id": 1, "caption": "a barn"}]}'
    made.files(tmp_path, pictures("0.png", "1.png") | {"captions.json": captions})
    with pytest.raises(UserError, match=r"no captions were found; .*left: captions\.json"):
        made.open(tmp_path)
