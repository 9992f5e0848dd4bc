import datetime
import decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.data.cells import file_or_bytes, texts
from chiasm.errors import UserError

HERE = Path("/data")
LOOKS_TYPED = ["None", "NA", "null", "nan", "N/A", "007", "1999", "true", "1.10", "+49301"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, ()),
        ("", ("",)),
        (True, ("true",)),
        (False, ("false",)),
        (7, ("7",)),
        (2.5, ("2.5",)),
        (3.0, ("3.0",)),
        (np.float32(0.1), ("0.1",)),
        (float("nan"), ()),
        (decimal.Decimal("1.10"), ("1.10",)),
        (datetime.date(2021, 5, 3), ("2021-05-03",)),
        (datetime.datetime(2021, 5, 3, 4, 5), ("2021-05-03 04:05:00",)),
        (datetime.time(4, 5), ("04:05:00",)),
        (b"caf\xc3\xa9", ("café",)),
        ([], ()),
        (["a", None, "b"], ("a", "b")),
        ([["a"], [1, True], "b"], ("a", "1", "true", "b")),
    ],
)
def test_cells_become_words(value, said):
    assert texts(value, "c") == said


@given(st.text())
def test_strings_stay_what_they_are(text):
    assert texts(text, "c") == (text,)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"en": "a", "de": "b"}, "^a dictionary in words$"),
        ([{"raw": "a"}], "^a dictionary in words$"),
        ([("en", "a"), ("de", "b")], "^a dictionary in words$"),
        (b"\xff\xfe", "^words is no UTF-8$"),
        (datetime.timedelta(1), "column 'words' holds timedelta, which is no text"),
    ],
)
def test_what_is_no_text_is_refused_by_the_name_of_its_column(value, message):
    with pytest.raises(UserError, match=message):
        texts(value, "words")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, None),
        ("", None),
        (b"", None),
        ([], None),
        ("a.png", HERE / "a.png"),
        ("/else/a.png", Path("/else/a.png")),
        (b"png", b"png"),
        (["a.png"], HERE / "a.png"),
        ([b"png"], b"png"),
        ({"bytes": b"png", "path": "a.png"}, b"png"),
        ({"bytes": None, "path": "a.png"}, HERE / "a.png"),
        ([{"bytes": b"png", "path": None}], b"png"),
    ],
)
def test_cells_hold_pictures(value, found):
    assert file_or_bytes(value, HERE, "c") == found


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["a.png", "b.png"], "column 'img' holds 2 pictures in one row; write a row for each"),
        ("https://a.b/c.png", "column 'img' holds web addresses; fetch the pictures"),
        (3, "column 'img' holds int; give paths or the bytes"),
    ],
)
def test_what_is_no_picture_is_refused_by_the_name_of_its_column(value, message):
    with pytest.raises(UserError, match=message):
        file_or_bytes(value, HERE, "img")


@pytest.mark.parametrize("form", ["csv", "jsonl", "json", "parquet"])
def test_cells_that_look_typed_are_their_characters(form, made, pictures, tmp_path):
    names = [f"{k}.png" for k in range(len(LOOKS_TYPED) + 2)]
    made.files(tmp_path, pictures(*names))
    captions = [*LOOKS_TYPED, "", "  x "]
    rows = [{"file_name": n, "text": c} for n, c in zip(names, captions, strict=True)]
    file = tmp_path / f"rows.{form}"
    if form == "parquet":
        pa.parquet.write_table(pa.Table.from_pylist(rows), file)
    elif form == "csv":
        file.write_text("\n".join(["file_name,text", *(",".join(row.values()) for row in rows)]))
    else:
        lines = made.json_lines(rows).splitlines()
        file.write_text("\n".join(lines) if form == "jsonl" else f"[{','.join(lines)}]")
    opened = made.open(tmp_path)
    assert made.captions(opened) == sorted([*LOOKS_TYPED, "x"])
    assert opened.facts.skipped == {"no text": 1}


def test_answers_in_json_are_what_was_written(made, pictures, tmp_path):
    made.files(tmp_path, pictures("a.png"))
    answers = ["3", "2.5", "2.50", '"2021-05-03"', "true", '"007"', "[1, 2]"]
    line = '{{"image": "a.png", "question": "{}?", "answer": {}, "of": {}}}'
    rows = [line.format(k, answer, k) for k, answer in enumerate(answers)]
    made.files(tmp_path, {"rows.jsonl": "\n".join(rows)})
    opened = made.open(tmp_path, "vqa", group_column="of")
    said = [text.rpartition("answer: ")[2].strip() for text in made.words(opened)]
    assert said == ["3", "2.5", "2.50", "2021-05-03", "true", "007", "1"]


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([3, 4, 5], ["3", "4", "5"]),
        ([2.5, 1.0, 3.25], ["2.5", "1.0", "3.25"]),
        ([True, False], ["true", "false"]),
        (["2021-05-03", "2021-05-04"], ["2021-05-03", "2021-05-04"]),
    ],
)
def test_texts_that_are_no_strings_are_words(form, cells, said, made, tmp_path):
    if form == "parquet":
        typed = [
            datetime.date.fromisoformat(cell) if isinstance(cell, str) else cell for cell in cells
        ]
        pa.parquet.write_table(pa.table({"text": typed}), tmp_path / "a.parquet")
    else:
        lines = made.json_lines({"text": cell} for cell in cells)
        made.files(
            tmp_path, {f"a.{form}": lines if form == "jsonl" else "\n".join(["text", *said])}
        )
    assert made.words(made.open(tmp_path, "text")) == sorted(said)


def test_half_a_letter_takes_its_row_alone(made, tmp_path):
    made.files(tmp_path, {"a.jsonl": '{"text": "a"}\n{"text": "\\ud83d"}\n{"text": "b"}\n'})
    opened = made.open(tmp_path, "text", document_characters=9)
    assert made.words(opened) == ["a", "b"]
    assert opened.facts.skipped == {"half of a letter (a surrogate)": 1}


def test_pictures_in_lists_are_taken_where_there_is_one(made, pictures, tmp_path):
    made.files(tmp_path, pictures("a.png", "b.png", "c.png"))
    rows = [{"image": [name], "text": name} for name in ("a.png", "b.png")]
    made.files(tmp_path, {"rows.jsonl": made.json_lines(rows)})
    assert made.captions(made.open(tmp_path)) == ["a.png", "b.png"]
    made.files(
        tmp_path,
        {"rows.jsonl": made.json_lines([*rows, {"image": ["a.png", "c.png"], "text": "x"}])},
    )
    with pytest.raises(UserError, match="column 'image' holds 2 pictures in one row; write a row"):
        made.open(tmp_path)
