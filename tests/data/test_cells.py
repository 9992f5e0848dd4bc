import datetime
import decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.data.cells import file_or_bytes, texts
from chiasm.errors import UserError

HERE = Path("/data")


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
