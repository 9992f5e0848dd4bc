import json
import re

import pytest

from chiasm.data import kinds  # noqa: F401
from chiasm.data.line_tables import Csv, JsonLines
from chiasm.data.picture_folder import PictureFolder
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
    assert columns(image_column="in").files_column(rows) == "in"
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
def test_pictures_come_from_the_first_usual_column_that_holds_some(row, column, table):
    assert columns().files_column(table({"caption": "x"}, row)) == column


def test_a_table_fits_that_has_all_that_is_needed(table):
    assert columns().fits(table({"image": "a.png", "text": "x"}))
    assert not columns().fits(table({"image": "a.png"}))
    assert not columns().fits(table({"text": "x"}))
    assert not columns().fits(table({"image": "in/a/tar.png", "text": "x"}))
    assert columns(image_column="image").fits(table({"image": "in/a/tar.png", "text": "x"}))
    assert columns().fits(table({"image": "a.png"}), alone=True)
    assert columns("text").fits(table({"caption": "x"}))
    row = {"image": "a.png", "question": "x", "answer": "y"}
    assert columns("vqa").fits(table(row))
    assert not columns("vqa", answer_column="answers").fits(table(row))
    assert columns("vqa").words(table(row)) == ("question", "answer")


def test_a_ragged_row_does_not_hide_a_table(made, tmp_path):
    made.files(tmp_path, {"a.png": "x", "rows.csv": "image,text\na.png,1,2\nb\na.png,3\n"})
    rows = Csv(tmp_path / "rows.csv")
    assert columns().fits(rows)
    assert (columns().files_column(rows), columns().words(rows)) == ("image", ("text",))


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("image_text", {"file_name": "barn.jpg", "text": "a red barn in the snow"}),
        ("vqa", {"file_name": "barn.jpg", "question": "is it a barn?", "answer": "yes"}),
    ],
)
def test_pictures_without_words_say_how_to_write_them(kind, line, tmp_path):
    pictures = PictureFolder(tmp_path, [tmp_path / "a.png"], [])
    for part in (pictures, pictures.of_files({tmp_path / "a.png"})):
        with pytest.raises(
            UserError, match=f"write metadata.jsonl .*{re.escape(json.dumps(line))}"
        ):
            columns(kind).refuse_pictures_alone(part)
        columns(kind).source_of("mine", part, sequence_length=1, alone=True)


def test_a_table_fits_whose_words_are_refused_when_they_are_read(table):
    assert columns().fits(table({"image": "a.png", "text": {"raw": "x"}}))
