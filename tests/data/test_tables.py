import datasets
import pyarrow as pa
import pyarrow.parquet
import pytest

from chiasm.data.arrow_tables import ArrowTable
from chiasm.data.line_tables import JsonLines
from chiasm.data.media import IMAGE
from chiasm.data.media_folder import MediaFolder
from chiasm.data.tables import choose_column, open_tables
from chiasm.errors import UserError, settings_of

ROWS = [{"image": f"{k}.png", "caption": f"number {k}"} for k in range(5)]


def has(*columns):
    return lambda table, files: set(columns) <= set(table.columns)


def opened(path, *columns, medium=IMAGE, **options):
    with settings_of("sources.a"):
        return open_tables(str(path), has(*columns), medium=medium, **options)


def rows_of(table):
    return [table.row(number) for number in range(len(table))]


def csv_of(rows):
    return "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)])


def parquet(rows, file):
    file.parent.mkdir(parents=True, exist_ok=True)
    pa.parquet.write_table(pa.Table.from_pylist(rows), file)
    return file


@pytest.fixture
def forms(made, tmp_path):
    """The same rows in every form."""
    folder = tmp_path / "forms"
    made.files(folder / "jsonl", {"part.jsonl": made.json_lines(ROWS)})
    made.files(folder / "ndjson", {"part.ndjson": made.json_lines(ROWS)})
    made.files(folder / "json", {"part.json": made.json_lines(ROWS)})
    made.files(folder / "csv", {"part.csv": csv_of(ROWS)})
    made.files(folder / "tsv", {"part.TSV": csv_of(ROWS).replace(",", "\t")})
    parquet(ROWS, folder / "parquet" / "part.parquet")
    datasets.Dataset.from_list(ROWS).save_to_disk(str(folder / "arrow"))
    return folder


@pytest.mark.parametrize("form", ["jsonl", "ndjson", "json", "csv", "tsv", "parquet", "arrow"])
@pytest.mark.parametrize("as_file", [False, True])
def test_tables_of_every_form_open(form, as_file, forms):
    path = (
        next((forms / form).glob("*.[!j]*" if form == "arrow" else "*"))
        if as_file
        else forms / form
    )
    assert rows_of(opened(path, "image").train) == ROWS


def test_shards_are_one_table(made, tmp_path):
    for number in range(3):
        parquet(ROWS[number : number + 1], tmp_path / f"a[{number}].parquet")
    assert rows_of(opened(tmp_path).train) == ROWS[:3]
    assert rows_of(opened(tmp_path / "a[[]1*").train) == ROWS[1:2]


def test_shards_may_have_different_columns_and_types(tmp_path):
    parquet([{"text": "a", "n": 1}], tmp_path / "0.parquet")
    parquet([{"text": None, "m": "x"}, {"text": "b", "m": "y"}], tmp_path / "1.parquet")
    tables = opened(tmp_path, "text")
    assert rows_of(tables.train) == [
        {"text": "a", "n": 1}, {"text": None, "m": "x"}, {"text": "b", "m": "y"}
    ]  # fmt: skip
    assert tables.train.columns == ("text", "n", "m")


def test_splits_may_have_different_columns(tmp_path):
    parquet([{"text": "a", "label": 1}], tmp_path / "train.parquet")
    parquet([{"text": "b"}], tmp_path / "test.parquet")
    tables = opened(tmp_path, "text")
    assert rows_of(tables.train) == [{"text": "a", "label": 1}]
    assert rows_of(tables.held_out) == [{"text": "b"}]
    assert tables.notes == ("held out by name: test.parquet",)


def test_what_fits_is_read_and_what_is_left_is_told(made, tmp_path):
    made.files(
        tmp_path,
        {
            "corpus.jsonl": made.json_lines([{"text": "a"}]),
            "vocabulary.jsonl": '{"token": 1}\n' * 99,
            "LICENSE.txt": "x" * 999,
            "README.txt": "x" * 999,
            "more.csv": "text\nb\n",
            "old.jsonl.gz": "",
            ".ipynb_checkpoints/corpus-checkpoint.jsonl": '{"text": "old"}',
        },
    )
    tables = opened(tmp_path, "text", medium=None)
    assert rows_of(tables.train) == [{"text": "a"}]
    assert tables.notes == ("left: more.csv, old.jsonl.gz, vocabulary.jsonl and 2 more",)


@pytest.mark.parametrize("more", ["csv", "jsonl"])
def test_of_formats_that_fit_the_one_with_most_bytes_is_read(more, made, tmp_path):
    rows = [{"text": "in jsonl"}] * (99 if more == "jsonl" else 1)
    lines = ["text", *["in csv"] * (99 if more == "csv" else 1)]
    made.files(tmp_path, {"a.csv": "\n".join(lines), "b.jsonl": made.json_lines(rows)})
    tables = opened(tmp_path, "text")
    assert tables.train.row(0) == {"text": f"in {more}"}
    assert tables.notes == ("left: b.jsonl" if more == "csv" else "left: a.csv",)


def test_metadata_comes_before_larger_tables(made, tmp_path):
    made.files(tmp_path, {"other.csv": "image,x\n" + "a,b\n" * 99})
    made.files(tmp_path, {"metadata.jsonl": made.json_lines(ROWS), "deep/metadata.jsonl": "{}\n"})
    assert rows_of(opened(tmp_path, "image").train) == ROWS
    assert len(opened(tmp_path, "x").train) == 99  # metadata that lacks what is needed is left


def test_metadata_of_all_sub_folders_is_read(made, tmp_path):
    made.files(tmp_path, {f"{k}/metadata.csv": f"image\n{k}.png\n" for k in range(3)})
    train = opened(tmp_path, "image").train
    assert rows_of(train) == [{"image": f"{k}.png"} for k in range(3)]
    assert [train.file(k).parent.name for k in range(3)] == ["0", "1", "2"]


def test_metadata_of_pictures_beside_shards_is_left(made, tmp_path):
    made.tar(tmp_path / "00000.tar", [("1.jpg", b"j"), ("1.txt", "a"), ("1.json", '{"w": 1}')])
    parquet(
        [{"url": "u" * 99, "caption": "a", "n": k} for k in range(2)], tmp_path / "00000.parquet"
    )
    made.files(tmp_path, {"00000_stats.json": '{"count": 1}', "dataset_info.json": "{}"})
    tables = opened(tmp_path, "image", "txt")
    assert [row["w"] for row in rows_of(tables.train)] == ["1"]
    assert tables.notes == ("left: 00000.parquet, 00000_stats.json, dataset_info.json",)


def test_pictures_come_last(made, tmp_path):
    made.files(
        tmp_path, {"a.png": "x" * 999, "a.txt": "words", "table.csv": "image,text\na.png,b\n"}
    )
    assert rows_of(opened(tmp_path, "image", "text").train) == [{"image": "a.png", "text": "b"}]
    tables = opened(tmp_path / "*.[pt][nx][gt]", "image", "text")
    assert isinstance(tables.train, MediaFolder)
    assert tables.notes == ()  # the text beside the picture is read


def test_plain_texts_count_where_texts_are_wanted(made, tmp_path):
    made.files(tmp_path, {"b.txt": "second", "a.txt": "first", "metadata.csv": "text\nc\n"})
    assert rows_of(opened(tmp_path, "text", medium=None).train) == [
        {"text": "first"}, {"text": "second"}
    ]  # fmt: skip
    assert rows_of(opened(tmp_path, "text").train) == [{"text": "c"}]


def test_a_pattern_decides(made, tmp_path):
    made.files(
        tmp_path, {f"{name}.csv": f"text\n{name}\n" for name in ("a1", "a2", "test", "train")}
    )
    assert [row["text"] for row in rows_of(opened(tmp_path / "a*.csv").train)] == ["a1", "a2"]
    assert opened(tmp_path / "train*").held_out is None


@pytest.mark.parametrize(
    "held_out_path", ["held.csv", "in/b.csv", "in/*b.csv", "elsewhere", "splits"]
)
def test_what_is_held_out_can_be_named(held_out_path, made, tmp_path):
    made.files(
        tmp_path,
        {
            "in/a.csv": "text\na\n", "in/b.csv": "text\nb\n", "in/test.csv": "text\nt\n",
            "held.csv": "text\nh\n", "elsewhere/x.jsonl": '{"text": "h"}',
            "splits/train.csv": "text\nno\n", "splits/val.csv": "text\nh\n",
            "splits/test.csv": "text\nno\n",
        },
    )  # fmt: skip
    tables = opened(tmp_path / "in", "text", held_out_path=str(tmp_path / held_out_path))
    inside = held_out_path.startswith("in")
    assert rows_of(tables.held_out) == [{"text": "b" if inside else "h"}]
    assert [row["text"] for row in rows_of(tables.train)] == (["a"] if inside else ["a", "b"])
    assert tables.notes[0].endswith("(held_out_path)")
    assert tables.notes[1] == "not read: test.csv"  # called so, and neither


def test_a_held_out_file_is_known_by_any_of_its_paths(made, tmp_path, monkeypatch):
    made.files(tmp_path, {"a.csv": "text\na\n", "b.csv": "text\nb\n"})
    monkeypatch.chdir(tmp_path)
    tables = opened(tmp_path, "text", held_out_path="../" + tmp_path.name + "/b.csv")
    assert rows_of(tables.train) == [{"text": "a"}]


def test_names_that_could_be_splits_are_told(made, tmp_path):
    made.files(tmp_path, {"train_full.csv": "text\na\n", "val_small.csv": "text\nb\n"})
    assert opened(tmp_path).notes == ("trained on whatever it is called: val_small.csv",)


def test_nothing_to_train_on_is_refused(made, tmp_path):
    made.files(tmp_path, {"val.csv": "text\na\n", "test.csv": "text\nb\n"})
    message = r"none to train on \(val\.csv\); name the file to train on with sources\.a\.path, and"
    with pytest.raises(UserError, match=rf"{message} .* sources\.a\.held_out_path$"):
        opened(tmp_path)
    made.files(tmp_path / "in", {"a.csv": "text\na\n"})
    with pytest.raises(UserError, match=message):
        opened(tmp_path / "*.csv", held_out_path=str(tmp_path / "in"))
    tables = opened(tmp_path / "in", held_out_path=str(tmp_path / "*.csv"))
    assert rows_of(tables.held_out) == [{"text": "a"}]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds nothing that can be read; give a folder with"),
        ({"notes.md": "x"}, "holds nothing that can be read"),
        ({"a.txt": "x"}, "holds nothing that can be read"),
        ({"a.tar.gz": "x"}, r"a\.tar\.gz cannot be read as gzip \(Not a gzipped file"),
        ({"a.tar.xz": "x"}, r"holds compressed files \(a\.tar\.xz\).*unpack them first"),
        ({"a.jsonl.zst": "x", "b.zip": "x"}, "holds compressed files"),
        ({"a.jsonl": ""}, "holds no rows"),
        ({"a.csv": "text\n"}, "holds no rows"),
        ({"a.json": "[]"}, r"cannot be read: .*a\.json is no list of JSON objects"),
        ({"a.jsonl": '{"text": 1}\n{"text": 2'}, r"a\.jsonl, line 2 is no JSON"),
        ({"a.jsonl": '{"text": 1}\n', "b.jsonl": "{"}, r"b\.jsonl, line 1 is no JSON"),
        ({"a.csv": 'text\n"a'}, r"a\.csv, line 2: unexpected end of data"),
        ({"a.parquet": "PAR1"}, r"a\.parquet cannot be read as parquet"),
        ({"a.tar": ""}, r"a\.tar cannot be read as a tar"),
    ],
)
def test_what_cannot_be_read_is_one_clear_message(files, message, made, tmp_path):
    made.files(tmp_path / "mine", {"x.bin": "", **files})
    with pytest.raises(UserError, match=rf"^sources\.a\.path = '.*mine'.*{message}") as caught:
        opened(tmp_path / "mine", "text")
    assert "\n" not in str(caught.value)


def test_a_path_that_is_not_there_is_refused_without_asking_the_hub(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path / "deep" / "nowhere.jsonl", "x" * 300 + ".csv"):
        with pytest.raises(UserError, match=r"does not exist: no such file or folder"):
            opened(path)


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("./nowhere", "folder in /"),
        ("../nowhere", "folder in /"),
        ("nowhere", "folder in /"),
        ("deep/er/nowhere", r"folder in /.*there is no folder deep\)"),
        ("films/barn.mp4", "there is no folder films"),
        ("tables/barn.jsonl.gz", "there is no folder tables"),
        ("~/nowhere", "~ is not expanded"),
    ],
)
def test_what_looks_like_a_path_is_never_asked_of_the_hub(path, remedy, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=f"= '{path}' does not exist.*{remedy}"):
        opened(path)


def test_an_owner_and_a_name_are_asked_of_the_hub(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(UserError, match=r"no folder owner\), and the hub cannot.*HF_HUB_OFFLINE=1"):
        opened("owner/name")
    with pytest.raises(
        UserError, match=r"sources\.a\.held_out_path stands beside sources\.a\.path"
    ):
        opened("owner/name", held_out_path="x.csv")


def test_what_is_told_unread_is_not_trained_on(made, tmp_path):
    made.files(tmp_path, {"train.csv": "text\na\n", "val.csv": "text\nb\n"})
    with pytest.raises(UserError, match=r"a\.path = .* has no file to train on that .*train\.csv'"):
        opened(tmp_path, held_out_path=str(tmp_path / "train.csv"))


def splits_of(*names):
    return {name: ArrowTable(pa.table({"text": [name]}), {}, ()) for name in names}


@pytest.mark.parametrize(
    ("names", "trained", "held_out", "notes"),
    [
        (("test", "train", "validation"), "train", "validation",
         ("held out: the split 'validation' of the hub's dataset", "not read: 'test'")),
        (("test",), "test", None, ("trained on the split 'test': none is called train",)),
        (("train", "more"), "train", None, ("not read: 'more'",)),
    ],
)  # fmt: skip
def test_of_the_hubs_splits_what_is_read_and_what_not_is_told(
    names, trained, held_out, notes, monkeypatch
):
    monkeypatch.setattr("chiasm.data.tables.open_hub", lambda path, setting: splits_of(*names))
    tables = opened("owner/name")
    assert tables.train.row(0) == {"text": trained}
    assert (tables.held_out and tables.held_out.row(0)["text"]) == held_out
    assert tables.notes == notes


def test_columns_are_chosen_or_those_there_are_listed(made, tmp_path):
    table = opened(made.files(tmp_path, {"a.jsonl": made.json_lines(ROWS)})).train
    assert choose_column(table, "s.text_column", "", ("text", "caption")) == "caption"
    assert choose_column(table, "s.text_column", "image", ("text",)) == "image"
    with pytest.raises(UserError, match=r"s\.text_column = 'tag' is no column.*image, caption"):
        choose_column(table, "s.text_column", "tag", ("caption",))
    with pytest.raises(UserError, match=r"not set.*\(text, txt\).*image, caption"):
        choose_column(table, "s.text_column", "", ("text", "txt"))
    many = JsonLines(
        made.files(tmp_path, {"b.jsonl": made.json_lines([{"x" * 9000: 1}])}) / "b.jsonl"
    )
    with pytest.raises(UserError, match=r"there are: x{1000}\.\.\.$"):
        choose_column(many, "s.text_column", "tag")
