import pytest

from chiasm.data.media_files import MediaFiles


@pytest.fixture
def coco(made, tmp_path):
    """Pictures of two splits, some of one name, beside a folder of annotations."""
    names = ("train2017/1.png", "train2017/2.png", "val2017/1.png", "deep/er/3.png")
    made.files(tmp_path, dict.fromkeys((*names, "annotations/own.png"), "x"))
    files = MediaFiles(tmp_path, [tmp_path / name for name in names])
    return lambda name, table: files.find(
        tmp_path / "annotations" / name, tmp_path / "annotations" / table
    ).relative_to(tmp_path)


@pytest.mark.parametrize(
    ("name", "table", "found"),
    [
        ("own.png", "captions_train2017.json", "annotations/own.png"),
        ("train2017/2.png", "x.json", "train2017/2.png"),  # of a folder above
        ("2.png", "x.json", "train2017/2.png"),  # the only one
        ("er/3.png", "x.json", "deep/er/3.png"),
        ("1.png", "captions_train2017.json", "train2017/1.png"),
        ("1.png", "captions_val2017.json", "val2017/1.png"),
        ("1.png", "x.json", "annotations/1.png"),  # nobody knows which
        ("r/3.png", "x.json", "annotations/r/3.png"),
    ],
)
def test_pictures_are_found_and_never_guessed(name, table, found, coco):
    assert coco(name, table).as_posix() == found


def test_where_pictures_were_looked_for_is_noted(tmp_path):
    files = MediaFiles(tmp_path)
    files.looked_at = {}
    files.find(tmp_path / "a" / "1.png", tmp_path / "a" / "rows.csv")
    assert list(files.looked_at) == [str(tmp_path / "a" / "1.png"), str(tmp_path / "1.png")]


def test_other_files_are_another_digest(tmp_path):
    one, two = (MediaFiles(tmp_path, [tmp_path / name]) for name in ("1.png", "2.png"))
    assert one.digest != two.digest
    assert one.digest == MediaFiles(tmp_path, [tmp_path / "1.png"]).digest
