import io
import json
import tarfile

import datasets
import pytest

from chiasm.data.tables import choose_column, open_table
from chiasm.errors import UserError

ROWS = [{"image": f"{k}.png", "caption": f"number {k}"} for k in range(5)]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "csv"])
@pytest.mark.parametrize("as_folder", [True, False])
def test_tables_of_every_form_open(kind, as_folder, tmp_path):
    file = tmp_path / "mine" / f"part.{kind}"
    file.parent.mkdir()
    if kind == "jsonl":
        write_lines(file, ROWS)
    else:
        getattr(datasets.Dataset.from_list(ROWS), f"to_{kind}")(str(file))
    table = open_table(str(file.parent if as_folder else file), "sources.a.path")
    assert table.to_list() == ROWS


def test_metadata_comes_before_other_tables(tmp_path):
    write_lines(tmp_path / "other.jsonl", [{"x": 1}])
    write_lines(tmp_path / "metadata.jsonl", ROWS)
    (tmp_path / "readme.txt").write_text("not data")
    assert open_table(str(tmp_path), "s").column_names == ["image", "caption"]


def test_plain_texts_come_first_where_texts_are_wanted(tmp_path):
    write_lines(tmp_path / "metadata.jsonl", ROWS)
    (tmp_path / "b.txt").write_text("second\n\nbook")
    (tmp_path / "a.txt").write_text("first")
    table = open_table(str(tmp_path), "s", prefer_text=True)
    assert table["text"][:] == ["first", "second\n\nbook"]


def test_a_folder_of_pictures_has_labels(tmp_path, made):
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        (tmp_path / "pets" / label / "0.png").write_bytes(made.picture_file(1))
    table = open_table(str(tmp_path / "pets"), "s")
    assert table.features["label"].names == ["cat", "dog"]
    assert set(table[0]["image"]) == {"bytes", "path"}  # not decoded


def test_webdataset_shards_open(tmp_path, made):
    for shard in range(2):
        with tarfile.open(tmp_path / f"{shard}.tar", "w") as archive:
            for key in range(3):
                for suffix, data in (("png", made.picture_file(key)), ("txt", b"a wall")):
                    entry = tarfile.TarInfo(f"{key:03}.{suffix}")
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))
    table = open_table(str(tmp_path), "s")
    assert len(table) == 6
    assert table[0]["txt"] == "a wall"
    assert table[4]["png"]["bytes"] == made.picture_file(1)


def test_half_written_tables_are_one_clear_message(tmp_path):
    (tmp_path / "metadata.jsonl").write_text('{"image": "a.png", "caption": "x"}\n{"image": "b')
    with pytest.raises(UserError, match=r"sources\.a\.path = .* cannot be read as json"):
        open_table(str(tmp_path), "sources.a.path")
    whole = tmp_path / "part.parquet"
    datasets.Dataset.from_list(ROWS).to_parquet(str(whole))
    whole.write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(UserError, match="cannot be read as parquet"):
        open_table(str(whole), "sources.a.path")


def test_texts_that_are_not_utf8_are_one_clear_message(tmp_path):
    (tmp_path / "a.txt").write_text("café", encoding="utf-8")
    for name in ("b.txt", "c.txt"):
        (tmp_path / name).write_bytes("café".encode("latin-1"))
    message = r"sources\.a\.path = .*b\.txt' is not UTF-8 text \(2 of 3 files\)"
    with pytest.raises(UserError, match=message):
        open_table(str(tmp_path), "sources.a.path", prefer_text=True)


@pytest.mark.parametrize("content", [[], ["notes.md"]])
def test_folders_without_data_are_refused(content, tmp_path):
    for name in content:
        (tmp_path / name).write_text("x")
    with pytest.raises(UserError, match="holds nothing that can be read"):
        open_table(str(tmp_path), "sources.a.path")


def test_an_empty_table_is_refused(tmp_path):
    (tmp_path / "metadata.jsonl").write_text("")
    with pytest.raises(UserError, match=r"sources\.a\.path"):
        open_table(str(tmp_path / "metadata.jsonl"), "sources.a.path")


def test_a_path_that_is_not_there_is_refused_without_asking_the_hub(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path / "deep" / "nowhere.jsonl"):
        with pytest.raises(UserError, match=r"does not exist: no such file or folder$"):
            open_table(str(path), "sources.a.path")


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("./nowhere", "folder in /"),
        ("../nowhere", "folder in /"),
        ("nowhere", "folder in /"),
        ("deep/er/nowhere", "folder in /"),
        ("~/nowhere", "~ is not expanded"),
    ],
)
def test_what_looks_like_a_path_is_never_asked_of_the_hub(path, remedy, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=f"= '{path}' does not exist.*{remedy}"):
        open_table(path, "sources.a.path")


def test_an_owner_and_a_name_are_asked_of_the_hub(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(UserError, match=r"the hub cannot be reached.*HF_HUB_OFFLINE=1"):
        open_table("owner/name", "sources.a.path")


def test_columns_are_chosen_or_those_there_are_listed():
    table = datasets.Dataset.from_list(ROWS)
    assert choose_column(table, "s.text_column", "", ("text", "caption")) == "caption"
    assert choose_column(table, "s.text_column", "image", ("text",)) == "image"
    with pytest.raises(UserError, match=r"s\.text_column = 'tag' is no column.*image, caption"):
        choose_column(table, "s.text_column", "tag", ("caption",))
    with pytest.raises(UserError, match=r"not set.*\(text, txt\).*image, caption"):
        choose_column(table, "s.text_column", "", ("text", "txt"))
