import pytest

from chiasm.data.media_files import MediaFiles
from chiasm.errors import UserError


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


def test_a_sub_folder_with_its_metadata_counts(made, pictures, tmp_path):
    made.files(tmp_path, pictures(*(f"{k}/{n}.png" for k in range(3) for n in range(2))))
    for k in range(3):
        rows = [{"file_name": f"{n}.png", "text": f"{k} {n}"} for n in range(2)]
        made.files(tmp_path / str(k), {"metadata.jsonl": made.json_lines(rows)})
    opened = made.open(tmp_path)
    assert made.captions(opened) == ["0 0", "0 1", "1 0", "1 1", "2 0", "2 1"]
    assert opened.facts.rows == 6


def test_paths_count_from_a_folder_above_the_table_too(made, pictures, tmp_path):
    made.files(tmp_path, pictures("images/a.png", "images/b.png"))
    absolute = tmp_path / "images" / "a.png"
    rows = [{"file_name": name, "text": name[-5:]} for name in ("images/b.png", str(absolute))]
    rows += [{"file_name": "images/a.png", "text": "again"}]
    made.files(tmp_path, {"tables/rows.jsonl": made.json_lines(rows)})
    opened = made.open(tmp_path, held_out_fraction=0.4)
    assert made.captions(opened) == ["a.png", "again", "b.png"]
    assert len(made.contents(opened.train)) == len(made.contents(opened.held_out)) == 1


def test_pictures_without_a_row_are_told(made, pictures, tmp_path):
    made.files(tmp_path, pictures(*(f"{k}.png" for k in range(5))))
    made.files(tmp_path, {"metadata.csv": "file_name,text\n0.png,a\n1.png,b\n"})
    assert made.open(tmp_path).facts.notes == ("3 pictures have no row",)
    assert made.open(tmp_path, "text").facts.notes == ()


def test_pictures_that_are_missing_are_named(made, tmp_path):
    made.files(tmp_path, {"metadata.csv": "image,text\n" + "img/0.jpg,a barn\n" * 4})
    with pytest.raises(UserError, match=r"picture file missing: 4; the first: .*img/0\.jpg\)"):
        made.open(tmp_path)
