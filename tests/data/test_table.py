import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.data.table import (
    FileTable,
    Joined,
    Part,
    parsed_json,
    read_text,
    refuse_repeated,
)
from chiasm.errors import UserError


class Listed(FileTable):
    """Rows of one column; each its own file where there are as many files."""

    def __init__(self, column, cells, *files):
        super().__init__(*files)
        self.columns = (column,)
        self.cells = cells

    def __len__(self):
        return len(self.cells)

    def row(self, number, *columns):
        return {self.columns[0]: self.cells[number]}


@settings(deadline=None)
@given(st.lists(st.lists(st.text(), max_size=4), min_size=1, max_size=4), st.data())
def test_joined_tables_are_their_rows_one_after_the_other(lists, data):
    tables = [Listed(f"c{k % 2}", cells, Path(f"/{k}/x.csv")) for k, cells in enumerate(lists)]
    joined = Joined(tables)
    flat = [(k, cell) for k, cells in enumerate(lists) for cell in cells]
    assert len(joined) == len(flat)
    for number, (k, cell) in enumerate(flat):
        assert joined.row(number) == {f"c{k % 2}": cell}
        assert joined.file(number) == Path(f"/{k}/x.csv")
        whole = joined.utf8(number, f"c{k % 2}", 0, 10**6)
        assert whole.decode() == cell
        assert joined.utf8(number, f"c{k % 2}", 1, 3) == whole[1:3]
    kept = data.draw(st.sets(st.sampled_from(joined.files), min_size=1))
    part = joined.of_files(kept)
    own = [cell for k, cells in enumerate(lists) for cell in cells if Path(f"/{k}/x.csv") in kept]
    assert [next(iter(part.row(number).values())) for number in range(len(part))] == own
    assert part.columns == joined.columns  # also those that the kept files lack


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=6), st.data())
def test_parts_are_the_rows_of_some_files(cells, data):
    files = [Path(f"/{k}/a.txt") for k in range(len(cells))]
    table = Part(Listed("c", cells, *files), files)
    kept = data.draw(st.sets(st.sampled_from(files)))
    part = table.of_files(kept)
    own = [(cell, file) for cell, file in zip(cells, files, strict=True) if file in kept]
    assert [part.row(n)["c"] for n in range(len(part))] == [cell for cell, _ in own]
    assert list(part.files) == [file for _, file in own]
    assert [part.utf8(n, "c", 0, 10**6).decode() for n in range(len(part))] == [c for c, _ in own]


def test_texts_of_files_are_utf8_without_their_byte_order_mark(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbfcaf\xc3\xa9\r\n")
    assert read_text(file) == "café\r\n"
    for encoding in ("latin-1", "utf-16", "utf-16-le", "utf-32"):
        file.write_bytes("café".encode(encoding))
        with pytest.raises(UserError, match=r"a\.txt' is not UTF-8 text; convert it with iconv"):
            read_text(file)


@given(st.floats(allow_nan=False) | st.integers(), st.sampled_from(["{}", "[{}]", '{{"a": {}}}']))
def test_numbers_in_json_stay_their_characters(number, form):
    written = json.dumps(number)
    assert json.dumps(parsed_json(form.format(written), "f")) == form.format(f'"{written}"')


@pytest.mark.parametrize("text", ["", "{", '{"a": 1', "nonsense", "[" * 100_000])
def test_what_is_no_json_is_told_with_its_place(text):
    with pytest.raises(UserError, match=r"^rows\.jsonl, line 3 is no JSON \("):
        parsed_json(text, "rows.jsonl, line 3")


def test_columns_of_one_name_are_refused():
    refuse_repeated(["a", "b", "", ""], Path("x.csv"))
    with pytest.raises(UserError, match=r"x\.csv has two columns that are called 'a'"):
        refuse_repeated(["a", "b", "a"], Path("x.csv"))
