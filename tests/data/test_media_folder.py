import pytest

from chiasm.data.media import IMAGE
from chiasm.data.media_folder import MediaFolder
from chiasm.errors import UserError


@pytest.fixture
def folder(made, tmp_path):
    def opened(files):
        made.files(tmp_path, files)
        every = sorted(file for file in tmp_path.rglob("*") if file.is_file())
        return MediaFolder(tmp_path, [file for file in every if IMAGE.is_of(file)], every)

    return opened


def rows_of(table):
    return [table.row(number) for number in range(len(table))]


def test_words_beside_pictures_are_read_with_them(folder, tmp_path):
    table = folder(
        {
            "barn.jpg": "", "barn.txt": "\ufeffa barn", "hill.v2.PNG": "", "hill.v2.TXT": "a hill",
            "moon.webp": "", "moon.webp.caption": "a moon", "sea.gif": "", "lone.txt": "no picture",
        }
    )  # fmt: skip
    assert table.columns == ("image", "text")
    names = ["barn.jpg", "hill.v2.PNG", "moon.webp", "sea.gif"]
    texts = ["a barn", "a hill", "a moon"]
    rows = [{"image": tmp_path / name} for name in names]
    assert rows_of(table) == [
        *(row | {"text": text} for row, text in zip(rows, texts, strict=False)),
        rows[3],
    ]
    assert tmp_path / "lone.txt" not in table.beside
    assert len(table.beside) == 3


def test_a_stray_note_is_no_caption(folder):
    table = folder({"a.jpg": "", "b.jpg": "", "a.txt": "note to self"})
    assert table.columns == ("image",)
    assert "text" not in table.row(0)
    assert table.beside == ()


def test_json_beside_pictures_gives_columns(folder):
    table = folder(
        {"a.jpg": "", "a.json": '{"caption": "x", "n": 2.50, "image": "other"}', "b.jpg": "",
         "b.json": "[1]"}
    )  # fmt: skip
    assert table.columns == ("image", "caption", "n")
    first, second = rows_of(table)
    assert (first["caption"], first["n"], first["image"].name) == ("x", "2.50", "a.jpg")
    assert set(second) == {"image"}
    with pytest.raises(UserError, match=r"a\.json is no JSON"):
        folder({"a.json": "{"})


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["cat/0.png", "dog/0.png"], ["cat", "dog"]),
        (["bus/0.png", "train/0.png"], ["bus", "train"]),
        (
            ["test/0.png", "train/0.png", "val/0.png", "walk/0.png"],
            ["test", "train", "val", "walk"],
        ),
        (["deep/cat/0.png", "dog/0.png"], ["cat", "dog"]),
        (["test/cat/0.png", "train/cat/0.png", "train/dog/0.png"], ["cat", "cat", "dog"]),
        (["0.png", "cat/0.png", "dog/0.png"], [None, "cat", "dog"]),
        (["test/0.png", "train/0.png"], None),
        (["images/train2017/0.png", "images/val2017/0.png"], None),
        (["images/0.png", "images/1.png"], None),
    ],
)
def test_labels_are_names_of_folders_and_never_splits(names, labels, folder):
    table = folder(dict.fromkeys(names, ""))
    assert ("label" in table.columns) == (labels is not None)
    if labels:
        assert [row["label"] for row in rows_of(table)] == labels


def test_some_of_the_pictures_keep_all_columns(folder, tmp_path):
    table = folder({"train/cat/0.png": "", "train/dog/0.png": "", "test/cat/0.png": ""})
    part = table.of_files({tmp_path / "test/cat/0.png"})
    assert part.columns == ("image", "label")
    assert rows_of(part) == [{"image": tmp_path / "test/cat/0.png", "label": "cat"}]
