import datetime
import decimal
import os
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chiasm.data.arrow_tables import ArrowTable, open_arrow
from chiasm.data.cells import texts
from chiasm.data.reading import Unusable
from chiasm.errors import UserError

WORDS = st.text(st.characters(codec="utf-8"), max_size=6)
DAY = datetime.date(2021, 5, 3)
COLUMNS = st.sampled_from(
    [
        (pa.string(), WORDS, str),
        (pa.large_string(), WORDS, str),
        (pa.dictionary(pa.int8(), pa.string()), WORDS, str),
        (pa.int16(), st.integers(-(2**15), 2**15 - 1), str),
        (pa.uint64(), st.integers(0, 2**64 - 1), str),
        (pa.float64(), st.floats(allow_nan=False), str),
        (pa.float32(), st.floats(width=32, allow_nan=False), lambda x: str(np.float32(x))),
        (pa.bool_(), st.booleans(), lambda x: "true" if x else "false"),
        (pa.date32(), st.dates(), lambda x: x.isoformat()),
        (pa.timestamp("us"), st.datetimes(), lambda x: x.isoformat(sep=" ")),
        (pa.decimal128(9, 2), st.integers(0, 99).map(lambda n: decimal.Decimal(n) / 4), None),
        (pa.binary(), WORDS.map(str.encode), bytes.decode),
    ]
)


def written(table, folder, form, name="a"):
    """The table in a file, in row groups and batches of two."""
    file = folder / f"{name}.{'arrow' if form != 'parquet' else form}"
    if form == "parquet":
        pa.parquet.write_table(table, file, row_group_size=2)
        return file
    new = pa.ipc.new_stream if form == "stream" else pa.ipc.new_file
    with new(str(file), table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return file


def rows_of(table):
    return [table.row(number) for number in range(len(table))]


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(form=st.sampled_from(["parquet", "stream"]), column=COLUMNS, data=st.data())
def test_cells_of_every_type_are_words(form, column, data, tmp_path):
    kind, cells, said = column
    values = data.draw(st.lists(st.none() | cells, min_size=1, max_size=7))
    if pa.types.is_decimal(kind):
        values = [v if v is None else v.quantize(decimal.Decimal("0.01")) for v in values]
    table = pa.table({"x": pa.array(range(len(values))), "c": pa.array(values, kind)})
    opened = open_arrow(written(table, tmp_path, form))
    assert opened.columns == ("x", "c")
    assert len(opened) == len(values)
    for number in reversed(range(len(values))):
        wanted = () if values[number] is None else ((said or str)(values[number]),)
        assert texts(opened.row(number, "c")["c"], "c") == wanted
        assert opened.utf8(number, "c", 0, 10**6) == "".join(wanted).encode()
        assert opened.utf8(number, "c", 1, 3) == "".join(wanted).encode()[1:3]


@pytest.mark.parametrize("form", ["parquet", "stream", "file"])
def test_rows_are_what_was_written(form, tmp_path, made):
    rows = [
        {"image": {"bytes": made.picture_file(k), "path": None}, "words": [f"{k}", "b"], "n": k}
        for k in range(5)
    ]
    opened = open_arrow(written(pa.Table.from_pylist(rows), tmp_path, form))
    assert rows_of(opened) == rows
    assert opened.row(3, "n") == {"n": 3}
    assert opened.row(3, "n", "other") == {"n": 3}  # columns that it lacks are left out
    assert opened.file(0).parent == tmp_path
    assert opened.files == (tmp_path / f"a.{'parquet' if form == 'parquet' else 'arrow'}",)


PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([b"a", b"", b"\xff\0c"], pa.binary()),
        ([b"a", None, b"c"], pa.large_binary()),
        (["a", "", "\u00f6"], pa.string()),
        (["a", None, "\u00f6"], pa.large_string()),
        ([None, None, None], pa.string()),
        ([{"bytes": b"a", "path": None}, {"bytes": b"", "path": None}] * 2, PICTURE),
        ([{"bytes": b"a", "path": "p"}, None, {"bytes": None, "path": ""}], PICTURE),
        ([{"x": {"y": "a", "z": [1]}}, {"x": {"y": "b", "z": None}}], None),
        ([[b"a"], [], None], pa.list_(pa.binary())),
    ],
)
def test_cells_are_those_of_arrow_wherever_a_batch_begins(cells, kind):
    whole = pa.table({"x": pa.array(cells * 4, kind), "n": range(4 * len(cells))})
    for part in (whole, whole.slice(3, 5), pa.concat_tables([whole.slice(5), whole.slice(0, 4)])):
        table = ArrowTable(part, {}, ())
        assert [table.row(number) for number in range(len(part))] == part.to_pylist()


def test_a_missing_number_is_none(tmp_path):
    table = pa.table({"c": pa.array([1.5, float("nan"), None])})
    opened = open_arrow(written(table, tmp_path, "parquet"))
    assert [texts(row["c"], "c") for row in rows_of(opened)] == [("1.5",), (), ()]


def test_a_map_is_a_dictionary(tmp_path):
    maps = pa.array([[("en", "a")]], pa.map_(pa.string(), pa.string()))
    cell = open_arrow(written(pa.table({"c": maps}), tmp_path, "parquet")).row(0)["c"]
    with pytest.raises(Unusable, match=r"^a dictionary in c$"):
        texts(cell, "c")


def test_labels_speak_their_names(tmp_path):
    label = datasets.ClassLabel(names=["cat", "dog"])
    features = datasets.Features(
        {"label": label, "tags": datasets.Sequence(label), "n": datasets.Value("int64")}
    )
    rows = {"label": [1, 0, -1, None], "tags": [[0, 1], [], None, [1]], "n": [1, 0, 2, 3]}
    dataset = datasets.Dataset.from_dict(rows, features=features)
    dataset.to_parquet(str(tmp_path / "a.parquet"))
    dataset.save_to_disk(str(tmp_path / "saved"))
    saved = next((tmp_path / "saved").glob("*.arrow"))
    tables = [open_arrow(tmp_path / "a.parquet"), open_arrow(saved)]
    tables.append(ArrowTable(dataset.data.table, {"label": ["cat", "dog"]}, ()))
    for table in tables:
        assert [row["label"] for row in rows_of(table)] == ["dog", "cat", None, None]
        assert [row["n"] for row in rows_of(table)] == [1, 0, 2, 3]
    assert [row["tags"] for row in rows_of(tables[0])] == [["cat", "dog"], [], None, ["dog"]]


def test_pictures_of_the_datasets_library_are_their_bytes(tmp_path, made):
    data = made.picture_file(1)
    rows = {"image": [{"bytes": data, "path": None}], "text": ["a"]}
    features = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "a.parquet"))
    assert open_arrow(tmp_path / "a.parquet").row(0, "image")["image"]["bytes"] == data


@pytest.mark.parametrize("form", ["parquet", "stream", "file"])
def test_an_edited_file_is_read_anew_whatever_its_time_stamp(form, tmp_path, made):
    old, new = (pa.table({"text": [word] * 3}) for word in ("before", "behind"))
    file = written(old, tmp_path, form)
    assert open_arrow(file).row(2) == {"text": "before"}
    other = written(new, made.files(tmp_path / "new", {"x": ""}), form)
    made.edit_unseen(file, other.read_bytes())
    assert open_arrow(file).row(2) == {"text": "behind"}
    assert len(list(Path(datasets.config.HF_DATASETS_CACHE).rglob("*.arrow"))) == 2


def test_equal_files_share_a_copy_and_a_copy_outlives_its_file(tmp_path):
    table = pa.table({"text": ["a", "b"]})
    one, two = (written(table, tmp_path, "parquet", name) for name in ("a[1]", "b*"))
    opened = open_arrow(one)
    assert rows_of(open_arrow(two)) == rows_of(opened) == [{"text": "a"}, {"text": "b"}]
    assert len(list(Path(datasets.config.HF_DATASETS_CACHE).rglob("*"))) == 2  # one, in a folder
    os.truncate(one, 10)
    assert opened.row(1) == {"text": "b"}


@pytest.mark.parametrize("form", ["parquet", "stream", "file"])
@pytest.mark.parametrize("share", [0, 0.5, 0.98])
def test_a_file_that_is_cut_off_is_one_clear_message(form, share, tmp_path):
    table = pa.table({"text": [f"{k} " * 50 for k in range(40)]})
    file = written(table, tmp_path, form)
    os.truncate(file, int(file.stat().st_size * share))
    kind = file.suffix[1:]
    with pytest.raises(UserError, match=rf"a\.{kind} cannot be read as {kind} \(.*fetch or write"):
        open_arrow(file)
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    assert not list(cache.rglob("*.*"))  # half a copy would be taken for a whole one


def test_a_stream_that_is_cut_off_between_batches_is_refused(tmp_path):
    file, ends = tmp_path / "a.arrow", []
    with file.open("wb") as opened, pa.ipc.new_stream(opened, pa.schema({"c": "string"})) as new:
        for k in range(4):
            new.write_batch(pa.record_batch({"c": [f"{k}"]}))
            ends.append(opened.tell())
    whole = file.read_bytes()
    assert len(open_arrow(file)) == 4
    for end in ends:
        file.write_bytes(whole[:end])
        with pytest.raises(UserError, match=r"a\.arrow cannot be read as arrow \(.*no end mark"):
            open_arrow(file)


def test_cells_that_are_none_of_their_type_are_rows_that_cannot_be_used(tmp_path):
    offsets = pa.array([0, 2, 4], pa.int32()).buffers()[1]
    words = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"ab\xff\xfe")])
    table = pa.table({"words": words, "time": pa.array([0, 2**62], pa.timestamp("us"))})
    opened = open_arrow(written(table, tmp_path, "parquet"))
    assert opened.row(0, "words", "time")["words"] == "ab"
    with pytest.raises(Unusable, match="words is no UTF-8"):
        opened.row(1, "words")
    with pytest.raises(Unusable, match="time holds a date that no calendar has"):
        opened.row(1, "time")


def test_columns_of_one_name_are_refused(tmp_path):
    table = pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    with pytest.raises(UserError, match=r"a\.arrow has two columns that are called 'text'"):
        open_arrow(written(table, tmp_path, "stream"))


def test_a_cache_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "file")
    with pytest.raises(UserError, match=r"a\.parquet cannot be copied to .*set HF_HOME"):
        open_arrow(written(pa.table({"text": ["a"]}), tmp_path, "parquet"))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(form=st.sampled_from(["parquet", "stream", "file"]), data=st.data())
def test_whatever_a_file_holds_ends_in_rows_or_in_one_message(form, data, tmp_path):
    table = pa.table({"text": [f"{k} " * 20 for k in range(9)], "n": range(9)})
    file = written(table, tmp_path, form)
    whole = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(whole)
    told = ""
    try:
        for row in rows_of(open_arrow(file)):
            texts(row.get("text"), "text")
    except UserError as error:
        told = str(error)
    assert "\n" not in told
