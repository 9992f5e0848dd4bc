import csv
import io
import json
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chiasm.data.cells import texts
from chiasm.data.index import NO_INDEX, SETTLED_NS, Index
from chiasm.data.line_tables import Csv, JsonLines, NoTable, Texts, open_json
from chiasm.data.reading import LostError, Unusable
from chiasm.errors import UserError

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
LOOKS_TYPED = ["None", "NA", "null", "nan", "N/A", "", "007", "1999", "true", "1.10", "+49301",
               "  x", "2021-05-03", "1e5", "-0", "'", "=A1", "\ufeff"]  # fmt: skip


def file_of(content, name="a.csv"):
    folder = Path(tempfile.mkdtemp())
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def rows_of(table):
    return [table.row(number) for number in range(len(table))]


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(*[st.sampled_from(LOOKS_TYPED) | TEXT] * 3), min_size=1, max_size=6),
    mark=st.sampled_from(",;\t"),
    bom=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
    blank=st.booleans(),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_cells_of_csv_are_the_characters_of_the_file(rows, mark, bom, end, blank, quoting):
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=mark, quoting=quoting)  # its own line end: \r\n
    for row in (("a", "b c", "d"), *rows):
        writer.writerow(row)
        if blank:
            written.write(end)
    table = Csv(file_of(("\ufeff" if bom else "") + written.getvalue()))
    assert table.columns == ("a", "b c", "d")
    assert len(table) == len(rows)
    for number in reversed(range(len(rows))):
        assert table.row(number) == dict(zip(("a", "b c", "d"), rows[number], strict=True))
        whole = rows[number][1].encode()
        assert table.utf8(number, "b c", 0, len(whole)) == whole


def test_cells_hold_line_breaks_and_any_line_ends():
    table = Csv(file_of('a,b\n"1\r\n\n2",x\r\n\r\n"say ""hi""",5" disk'))
    assert rows_of(table) == [{"a": "1\r\n\n2", "b": "x"}, {"a": 'say "hi"', "b": '5" disk'}]


def test_a_tsv_has_tabs_whatever_its_header_holds():
    table = Csv(file_of("a,b\tc\n1\t2,3\n"), delimiter="\t")
    assert rows_of(table) == [{"a,b": "1", "c": "2,3"}]


def test_ragged_rows_are_refused_one_by_one():
    table = Csv(file_of("a,b\n1,2\n3\n4,5,6\n7,8\n"))
    assert [table.row(0), table.row(3)] == [{"a": "1", "b": "2"}, {"a": "7", "b": "8"}]
    for number, cells in ((1, 1), (2, 3)):
        with pytest.raises(Unusable, match=f"^{cells} cells, and the header has 2$"):
            table.row(number)


def test_a_cell_may_be_long():
    cell = "word " * 100_000
    assert Csv(file_of(f"a,text\n1,{cell}\n")).row(0)["text"] == cell


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('a,b\n1,2\n3,"cut off\n4,5\n', r"a\.csv, line 3: unexpected end of data"),
        ('a,b\n1,"x" y\n', r"a\.csv, line 2: .* expected after"),
        ("a,text,text\n1,2,3\n", r"a\.csv has two columns that are called 'text'"),
        ("a,b\n1,café\n".encode("latin-1"), r"a\.csv' is not UTF-8 text"),
        ("a,b\n1,2\n".encode("utf-16"), r"a\.csv' is not UTF-8 text"),
        ("a,b\n1,2\n".encode("utf-16-le"), r"a\.csv' is not UTF-8 text"),
    ],
)
def test_broken_csv_is_one_clear_message(content, message):
    with pytest.raises(UserError, match=message):
        Csv(file_of(content))


JSON = st.recursive(st.none() | st.booleans() | TEXT, lambda inner: st.lists(inner, max_size=3))


@pytest.mark.slow
@settings(deadline=None)
@given(
    rows=st.lists(st.dictionaries(TEXT, JSON, max_size=3), min_size=1, max_size=5),
    bom=st.booleans(),
    blank=st.sampled_from(["", "\n", "  \r\n"]),
    ascii=st.booleans(),
    ended=st.booleans(),
)
def test_json_says_what_was_written(rows, bom, blank, ascii, ended):
    head = "\ufeff" if bom else ""
    lines = [json.dumps(row, ensure_ascii=ascii) for row in rows]
    as_lines = head + blank + f"\n{blank}".join(lines) + ("\n" if ended else "")
    as_list = f"{head}[{', '.join(lines)}]"
    as_data = f'{head}{{"version": "1", "data": [{", ".join(lines)}]}}'
    tables = [JsonLines(file_of(as_lines)), *map(open_json, map(file_of, (as_list, as_data)))]
    if len(rows) > 1:
        tables.append(open_json(file_of(as_lines)))  # as several libraries call JSON lines
    for table in tables:
        assert rows_of(table) == rows
        assert set(table.columns) == {name for row in rows for name in row}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_numbers_of_json_stay_their_characters(name):
    row = (
        '{"a": 3, "b": 2.50, "c": 1e5, "d": -0, "e": Infinity, "f": true, "g": 1234567890123456789}'
    )
    file = file_of(f"{row}\n{row}\n", name)
    table = JsonLines(file) if name.endswith("l") else open_json(file)
    assert table.row(1) == {
        "a": "3", "b": "2.50", "c": "1e5", "d": "-0", "e": "Infinity", "f": True,
        "g": "1234567890123456789",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_number_of_json_that_is_none_is_missing(name):
    row = '{"a": NaN, "b": "NaN", "c": ["x", NaN]}'  # as json.dumps writes float("nan")
    file = file_of(f"{row}\n{row}\n", name)
    table = JsonLines(file) if name.endswith("l") else open_json(file)
    assert [texts(table.row(1)[name], name) for name in "abc"] == [(), ("NaN",), ("x",)]


def test_one_object_is_one_row():
    assert rows_of(open_json(file_of('{\n "text": "a",\n "n": [1]\n}'))) == [
        {"text": "a", "n": ["1"]}
    ]


@pytest.mark.parametrize(
    "content",
    [[], [1, 2], "text", 3, {"images": [{"id": 1}], "annotations": [{"caption": "a"}]}],
)
def test_json_about_something_else_is_no_table(content):
    with pytest.raises(NoTable, match="is no list of JSON objects; write one object for each row"):
        open_json(file_of(json.dumps(content)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}\n\n{"a": 2', r"a\.jsonl, line 3 is no JSON \("),
        ('{"a": 1}\n[1]\n', r"a\.jsonl, line 2 is no JSON object"),
        ('{"a": "café"}\n'.encode("latin-1"), r"a\.jsonl' is not UTF-8 text"),
        ('{"a": 1}\n'.encode("utf-16"), r"a\.jsonl' is not UTF-8 text"),
    ],
)
def test_broken_json_lines_are_one_clear_message(content, message):
    with pytest.raises(UserError, match=message):
        JsonLines(file_of(content, "a.jsonl"))


@pytest.mark.parametrize("content", ['[{"a": 1}, {"a"', '{"a": 1', '{"a": 1}\n{"a": 2'])
def test_broken_json_is_one_clear_message(content):
    with pytest.raises(UserError, match=r"a\.json(, line 2)? is no JSON \("):
        open_json(file_of(content, "a.json"))


@pytest.mark.parametrize("kind", [JsonLines, Csv])
def test_tables_without_a_row_have_none(kind):
    for content in ("", "\n", "\ufeff", " \n\n" if kind is JsonLines else "a,b\n"):
        assert len(kind(file_of(content))) == 0


def test_rows_that_are_no_more_there_are_told():
    file = file_of('{"text": "a"}\n{"text": "b"}\n', "a.jsonl")
    table = JsonLines(file)
    file.write_text('{"text": "a"}\n')
    assert table.row(0) == {"text": "a"}
    with pytest.raises(UserError, match="has become shorter since it was opened"):
        table.row(1)
    file.write_text('{"text": "aaaa"}\n{"text": "b"}\n')
    with pytest.raises(UserError, match="is no JSON"):
        table.row(1)


def test_texts_are_whole_files(made, tmp_path):
    contents = {"a.txt": "first", "b.txt": b"\xef\xbb\xbfsec\xc3\xb6nd\r\n\r\nbook", "c.txt": ""}
    made.files(tmp_path, contents)
    table = Texts([tmp_path / name for name in contents])
    assert [row["text"] for row in rows_of(table)] == ["first", "secönd\r\n\r\nbook", ""]
    assert table.utf8(1, "text", 0, 3) == b"sec"  # the byte order mark is not counted
    assert len(table.of_files({tmp_path / "b.txt"})) == 1


def test_texts_that_are_not_utf8_are_one_clear_message(made, tmp_path):
    made.files(tmp_path, {"a.txt": "café", **dict.fromkeys(["b.txt", "c.txt"], b"caf\xe9")})
    with pytest.raises(UserError, match=r"b\.txt' is not UTF-8 text \(2 of 3 files\); convert"):
        Texts(sorted(tmp_path.iterdir()))


COCO = {
    "info": {"year": "2017"},
    "images": [{"id": 7, "file_name": "7.jpg", "width": 640}, {"id": 8, "file_name": "8.jpg"}],
    "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
}


def test_images_of_coco_are_rows_with_what_is_said_of_them(tmp_path):
    said = [(7, "a dog"), (7, "an animal"), (9, "of no image")]
    captions = [{"image_id": k, "caption": text, "id": n} for n, (k, text) in enumerate(said)]
    file = tmp_path / "a.json"
    file.write_text(json.dumps({**COCO, "annotations": captions}))
    table = open_json(file)
    assert rows_of(table) == [
        {"id": "7", "file_name": "7.jpg", "width": "640", "caption": ["a dog", "an animal"]},
        {"id": "8", "file_name": "8.jpg"},
    ]
    assert table.columns == ("id", "file_name", "width", "caption")
    boxes = [{"image_id": 7, "category_id": c, "bbox": [0, 0, 1, 1]} for c in (2, 1, 2, 3)]
    file.write_text(json.dumps({**COCO, "annotations": boxes}))
    assert open_json(file).row(0)["categories"] == ["cat", "dog"]
    assert "categories" not in open_json(file).row(1)
    odd = {
        "categories": [{"id": [], "name": "cat"}],
        "annotations": [{"image_id": 7, "category_id": []}],
    }
    file.write_text(json.dumps({**COCO, **odd}))
    assert open_json(file).row(0)["categories"] == ["cat"]


def test_lines_without_end_behind_an_object_do_not_take_long(tmp_path):
    """A search that tries each of them with each other one would not come back."""
    file = tmp_path / "a.json"
    file.write_text("{}" + "\n" * 3_000_000 + "x")
    with pytest.raises(UserError, match=r"a\.json is no JSON"):
        open_json(file)


@pytest.mark.parametrize("form", ["jsonl", "csv", "json"])
def test_rows_of_a_copy_are_those_of_the_file(form, tmp_path):
    """As of a compressed file, whose name and folder its rows keep."""
    content = {"jsonl": '{"a": "1"}\n', "csv": "a\n1\n", "json": '{"a": 1}\n{"a": 2}'}
    copy = file_of(content[form], "copy")
    file = tmp_path / f"x.{form}.gz"
    opened = {"jsonl": JsonLines, "csv": Csv, "json": open_json}[form](file, NO_INDEX, copy)
    assert opened.row(0) == {"a": "1"}
    assert (opened.file(0), opened.files) == (file, (file,))
    copy.unlink()
    with pytest.raises(LostError):
        opened.row(0)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_file_is_listed_once(form, made, tmp_path):
    file = tmp_path / f"a.{form}"
    lines = {"jsonl": ['{"a": "1"}', '{"a": "2"}'], "csv": ["a", "1", "2"]}[form]
    file.write_text("\n".join(lines))
    time.sleep(SETTLED_NS / 1e9)
    index = Index(tmp_path / "index", least_seconds=0)
    table = {"jsonl": JsonLines, "csv": Csv}[form]
    for _ in range(2):
        assert rows_of(table(file, index)) == [{"a": "1"}, {"a": "2"}]
        assert table(file, index).columns == ("a",)
    assert len(list((tmp_path / "index").rglob("*.npz"))) == 1
    made.edit_unseen(file, file.read_bytes().replace(b"2", b"3"))
    assert table(file, index).row(1) == {"a": "3"}


def test_a_line_of_ten_megabytes_is_a_row(tmp_path):
    long = "words " * 1_700_000
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": long}) + '\n{"text": "b"}\n')
    (tmp_path / "a.csv").write_text(f"text\n{long}\nb\n")
    for table in (JsonLines(tmp_path / "a.jsonl"), Csv(tmp_path / "a.csv")):
        assert [len(row["text"]) for row in rows_of(table)] == [len(long), 1]


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from([(JsonLines, "jsonl"), (Csv, "csv"), (open_json, "json")]),
    st.binary(max_size=80) | st.text('{}[],:"\n1a', max_size=40).map(str.encode),
)
def test_whatever_a_file_holds_ends_in_rows_or_in_one_message(tmp_path, form, content):
    opener, suffix = form
    file = tmp_path / f"a.{suffix}"
    file.write_bytes(content)
    with suppress(UserError):
        table = opener(file)
        for number in range(len(table)):
            with suppress(Unusable):
                assert isinstance(table.row(number), dict)
