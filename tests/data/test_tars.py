import os
import tarfile
import time

import fsspec
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chiasm.data.cells import texts
from chiasm.data.index import SETTLED_NS, Index
from chiasm.data.reading import LostError
from chiasm.data.storage import path_of
from chiasm.data.tars import Tar
from chiasm.errors import UserError


def rows_of(table):
    return [table.row(number) for number in range(len(table))]


@pytest.fixture
def tar(made, tmp_path):
    return lambda *members: Tar(made.tar(tmp_path / "a.tar", members))


def test_members_of_one_key_are_one_sample(tar):
    table = tar(("a/1.jpg", b"j"), ("a/1.txt", "one"), ("b/1.seg.png", b"s"), ("b/1.jpg", b"k"))
    assert table.columns == ("image", "jpg", "txt", "seg.png")
    assert rows_of(table) == [
        {"image": b"j", "jpg": b"j", "txt": "one"},
        {"image": b"k", "jpg": b"k", "seg.png": b"s"},
    ]
    assert table.row(0, "txt") == {"txt": "one"}


def test_pictures_of_every_format_are_one_column(tar):
    suffixes = ["jpg", "png", "webp", "JPEG", "bmp", "tiff"]
    pictures = [(f"{k}.{suffix}", bytes([k + 1])) for k, suffix in enumerate(suffixes)]
    table = tar(*pictures, *((f"{k}.txt", f"{k}") for k in range(6)))
    assert [row["image"] for row in rows_of(table)] == [bytes([k + 1]) for k in range(6)]
    assert [row["txt"] for row in rows_of(table)] == list("012345")


SAMPLES = st.lists(
    st.tuples(
        st.sampled_from(["jpg", "png", "JPG", "webp"]),
        st.sets(st.sampled_from(["txt", "cls", "id", "seg.png"])),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    samples=SAMPLES,
    form=st.sampled_from(["{:05}", "./{:05}", "shard/a/{:05}", "img.v2.{:04}", "Mr. {}. Smith"]),
    data=st.data(),
)
def test_samples_are_whole_in_any_order_and_under_any_names(samples, form, data, tar):
    dotted = "." in form.removeprefix("./")
    members, wanted = [], []
    for number, (suffix, others) in enumerate(samples):
        # With dots in names as well as in fields nobody could tell them apart.
        others = {*(others - {"seg.png"} if dotted else others), *(["txt"] if dotted else [])}
        key = form.format(number)
        picture = f"{number} picture".encode()
        fields = {suffix: picture, **{field: f"{number} {field}" for field in others}}
        members += [(f"{key}.{field}", content) for field, content in fields.items()]
        wanted.append((picture, {field: fields[field] for field in others}))
    table = tar(*data.draw(st.permutations(members)))
    rows = rows_of(table)
    assert len(rows) == len(samples)
    for picture, others in wanted:
        row = next(row for row in rows if row["image"] == picture)
        for field, content in others.items():
            assert row[field] == (content.encode() if field == "seg.png" else content)


def test_dots_in_some_names_do_not_join_samples(tar):
    names = ["barn", "Mr. Smith", "Mr. Jones", "St. Paul", "3.14", "3.15"]
    table = tar(*((f"{name}.{field}", f"{name} {field}") for field in ("png", "txt")
                  for name in names))  # fmt: skip
    assert [row["txt"] for row in rows_of(table)] == [f"{name} txt" for name in names]


def test_fields_with_dots_that_every_sample_has_are_fields(tar):
    fields = ("left.jpg", "right.jpg", "meta.json")
    table = tar(*((f"{k:03}.{field}", f"{k} {field}") for k in range(9) for field in fields))
    assert table.columns == fields
    assert len(table) == 9
    assert table.row(4, "right.jpg") == {"right.jpg": b"4 right.jpg"}


def test_entries_of_json_are_columns_and_numbers_their_characters(tar):
    table = tar(
        ("1.json", '{"width": 300, "ratio": 1.50, "caption": "a barn", "ok": true}'),
        ("1.jpg", b"j"), ("2.jpg", b"k"), ("2.json", "[1]"), ("1.id", "00042"), ("1.cls", "3\n"),
    )  # fmt: skip
    row = table.row(0)
    assert row["width"] == "300"
    assert row["ratio"] == "1.50"
    assert texts(row["ok"], "ok") == ("true",)
    assert row["id"] == "00042"
    assert row["cls"] == "3\n"
    assert table.row(1) == {"image": b"k", "jpg": b"k", "json": "[1]"}
    assert table.row(1, "caption", "image") == {"image": b"k"}


def test_a_column_of_the_last_sample_is_a_column(tar):
    table = tar(*((f"{k}.jpg", b"j") for k in range(20)), ("19.txt", "late"))
    assert "txt" in table.columns
    assert table.row(19, "txt") == {"txt": "late"}
    assert table.row(0, "txt") == {}


def test_leavings_and_members_without_a_field_are_no_samples(tar):
    table = tar(
        ("__MACOSX/._1.jpg", b"x"), ("._1.jpg", b"x"), (".hidden/2.jpg", b"x"), ("README", "x"),
        ("deep/.ipynb_checkpoints/1.jpg", b"x"), ("./1.jpg", b"j"), ("./1.txt", "\ufeffone"),
    )  # fmt: skip
    assert rows_of(table) == [{"image": b"j", "jpg": b"j", "txt": "one"}]


def test_the_later_of_two_members_of_one_name_counts(tar):
    assert tar(("1.txt", "old"), ("1.txt", "new")).row(0) == {"txt": "new"}


@pytest.mark.parametrize("kept", [0, 100, 700, 1300, 2600])
def test_a_tar_that_is_cut_off_is_one_clear_message(kept, made, tmp_path):
    file = made.tar(tmp_path / "a.tar", [("1.jpg", b"j" * 900), ("1.txt", b"t" * 900)])
    os.truncate(file, kept)
    with pytest.raises(UserError, match=r"a\.tar cannot be read as a tar \(.*fetch it again"):
        Tar(file)


def test_what_is_no_tar_or_no_json_is_one_clear_message(made, tmp_path, tar):
    made.files(tmp_path, {"b.tar": b"\x1f\x8b\x08 a compressed one" * 99})
    with pytest.raises(UserError, match=r"b\.tar cannot be read as a tar .* if it is compressed"):
        Tar(tmp_path / "b.tar")
    with pytest.raises(UserError, match=r"a\.tar: 2\.json is no JSON"):
        tar(("1.json", "{}"), ("2.json", "{"))


def test_tars_joined_by_cat_are_refused_and_those_joined_by_tar_are_read(made, tmp_path):
    one = made.tar(tmp_path / "1.tar", [("1.txt", "one")])
    two = made.tar(tmp_path / "2.tar", [("2.txt", "two"), ("2.jpg", b"j")])
    made.files(tmp_path, {"3.tar": one.read_bytes() + two.read_bytes()})
    with pytest.raises(UserError, match=r"3\.tar goes on after its end.*joined by cat"):
        Tar(tmp_path / "3.tar")
    with tarfile.open(one, "a") as archive:
        archive.add(tmp_path / "2.tar", "2.txt")
        archive.add(tmp_path, "last/", recursive=False)
    assert len(Tar(one)) == 2


def test_a_tar_that_is_cut_off_between_members_is_refused(made, tmp_path):
    file = made.tar(tmp_path / "a.tar", [(f"{k}.txt", "some words") for k in range(4)])
    for members in (1, 3, 4):
        made.files(tmp_path, {"b.tar": file.read_bytes()[: members * 2 * tarfile.BLOCKSIZE]})
        with pytest.raises(UserError, match=r"b\.tar has no end mark.*fetch or write it again"):
            Tar(tmp_path / "b.tar")


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.GNUTYPE_SPARSE])
def test_members_whose_bytes_stand_elsewhere_are_refused(kind, made, tmp_path):
    file = made.tar(tmp_path / "a.tar", [("1.txt", "one")])
    other = tarfile.TarInfo("2.txt")
    other.type, other.linkname = kind, "1.txt"
    with tarfile.open(file, "a") as archive:
        archive.addfile(other)
    with pytest.raises(UserError, match=r"a\.tar: 2\.txt is a link.*--hard-dereference"):
        Tar(file)


def test_a_tar_that_shrinks_is_told(tar, tmp_path):
    table = tar(("1.jpg", b"j" * 900), ("1.txt", "one"))
    os.truncate(tmp_path / "a.tar", 700)
    with pytest.raises(UserError, match=r"a\.tar has become shorter since it was opened"):
        table.row(0)


def test_a_shards_description_of_itself_is_no_sample(tar):
    assert len(tar(("__meta__.txt", "x"), ("__a.txt", "one"), ("1.txt", "two"))) == 2


def test_members_are_found_by_their_names(tar):
    table = tar(
        ("d/1.json", "{}"), ("d/1.0.jpg", b"own 0"), ("d/1.png", b"own png"),
        ("d/x.jpg", b"beside"), ("pool/x.jpg", b"pool"), ("x.jpg", b"root"),
        ("d/2.json", "{}"), ("d/2.0.jpg", b"other 0"),
    )  # fmt: skip
    asked = ["0.jpg", "PNG", "1.0.jpg", "2.0.jpg", "x.jpg", "./pool/x.jpg", "d/x.jpg", "y.jpg"]
    found = [table.member(0, name) for name in asked]
    assert found == [
        *(b"own 0", b"own png", b"own 0", b"other 0", b"beside", b"pool", b"beside", None)
    ]
    assert table.member(1, "0.jpg") is None


def test_a_tar_is_listed_once(made, tmp_path):
    members = [("b/1.jpg", b"j"), ("b/1.json", '{"n": 1}'), ("2.txt", "x")]
    file = made.tar(tmp_path / "a.tar", members)
    time.sleep(SETTLED_NS / 1e9)
    index = Index(tmp_path / "index", least_seconds=0)
    first, again = Tar(file, index), Tar(file, index)
    assert rows_of(first) == rows_of(again) == [
        {"image": b"j", "jpg": b"j", "json": '{"n": 1}', "n": "1"}, {"txt": "x"}
    ]  # fmt: skip
    assert first.columns == again.columns == ("image", "jpg", "json", "n", "txt")
    assert again.member(0, "2.txt") == b"x"
    assert len(list((tmp_path / "index").rglob("*.npz"))) == 1
    made.tar(file, [("3.txt", "new")])
    assert rows_of(Tar(file, index)) == [{"txt": "new"}]


def test_a_tar_elsewhere_is_read_as_one_here(made, tmp_path):
    file = made.tar(tmp_path / "a.tar", [(f"{k}.{end}", f"{k}") for k in range(9) for end in "ab"])
    memory = fsspec.filesystem("memory")
    memory.pipe("/shards/a.tar", file.read_bytes())
    elsewhere = Tar(path_of("memory://shards/a.tar"))
    memory.store.clear()
    assert len(elsewhere) == 9
    with pytest.raises(LostError, match=r"memory://shards/a\.tar cannot be read"):
        elsewhere.row(3)
    memory.pipe("/shards/a.tar", file.read_bytes())
    assert rows_of(elsewhere) == rows_of(Tar(file))
    memory.store.clear()


def test_names_tell_rows_apart(made, tmp_path):
    names = set()
    for shard in ("0.tar", "1.tar"):
        table = Tar(made.tar(tmp_path / shard, [("a/1.txt", "x"), ("1.txt", "x"), ("2.txt", "x")]))
        names |= {table.name(number) for number in range(3)}
    assert len(names) == 6


def test_shards_with_mixed_pictures_give_every_pair(made, tmp_path):
    for shard in range(2):
        members = [
            (f"{k:03}.{'jpg' if k % 2 else 'png'}", made.picture_file(10 * shard + k))
            for k in range(6)
        ]
        members += [(f"{k:03}.txt", f"{shard} {k}") for k in range(6)]
        made.tar(tmp_path / f"{shard}.tar", members)
    opened = made.open(tmp_path)
    assert made.captions(opened) == sorted(f"{shard} {k}" for shard in range(2) for k in range(6))
    assert len(made.contents(opened.train) | made.contents(opened.held_out)) == 12
    assert made.captions(made.open(tmp_path / "1.tar")) == [f"1 {k}" for k in range(6)]


def test_the_layout_of_img2dataset_is_read_from_its_shards(made, tmp_path):
    members = []
    for k in range(4):
        members.append((f"{k:09}.jpg", made.picture_file(k)))
        members += [
            (f"{k:09}.txt", f"alt {k}"),
            (f"{k:09}.json", f'{{"caption": "alt {k}", "n": {k}}}'),
        ]
    members.append(("000000009.jpg", made.picture_file(9)))
    made.tar(tmp_path / "00000.tar", members)
    table = pa.table(
        {"url": ["u"] * 5, "caption": ["x"] * 5, "key": ["k"] * 5, "path": ["0.jpg"] * 5}
    )
    pa.parquet.write_table(table, tmp_path / "00000.parquet")
    made.files(tmp_path, {"00000_stats.json": '{"count": 4}'})
    opened = made.open(tmp_path)
    assert made.captions(opened) == [f"alt {k}" for k in range(4)]
    assert opened.facts.files == ("00000.tar",)
    assert opened.facts.skipped == {"no caption": 1}
    assert opened.facts.notes == ("left: 00000.parquet, 00000_stats.json",)
    assert made.captions(made.open(tmp_path, text_column="txt", group_column="n")) == [
        f"alt {k}" for k in range(4)
    ]


def test_shards_of_any_length_are_read_by_lists_patterns_and_addresses(made, tmp_path):
    made.shards(tmp_path / "in", 3, 1, 6)
    captions = sorted(map(str, range(10)))
    for path in ("in/{000..002}.tar", "in/*.tar", "in/{000,001,002}.tar", "in"):
        opened = made.open(tmp_path / path)
        assert made.captions(opened) == captions
        assert opened.facts.files == ("000.tar", "001.tar", "002.tar")
    memory = fsspec.filesystem("memory")
    for file in (tmp_path / "in").iterdir():
        memory.pipe(f"/shards/{file.name}", file.read_bytes())
    elsewhere = made.open("memory://shards/{000..002}.tar")
    assert made.captions(elsewhere) == captions
    assert elsewhere.facts.fingerprint == opened.facts.fingerprint
    memory.store.clear()


def test_by_name_no_content_is_read_and_every_sample_has_its_side(made, tmp_path):
    made.shards(tmp_path, 30, 30)
    by_name = made.open(tmp_path, known_by="name", held_out_fraction=0.3)
    assert made.captions(by_name) == sorted(map(str, range(60)))
    assert 6 <= len(by_name.held_out) / 2 <= 30
    again = made.open(tmp_path, known_by="name", held_out_fraction=0.3)
    assert again.facts == by_name.facts
    by_content = made.open(tmp_path, held_out_fraction=0.3)
    assert by_content.facts.fingerprint != by_name.facts.fingerprint
    made.tar(tmp_path / "001.tar", [("7.png", b"broken"), ("7.txt", "x"), ("8.txt", "no picture")])
    broken = made.open(tmp_path, known_by="name")
    assert broken.facts.fingerprint != by_name.facts.fingerprint
    assert (broken.facts.rows, broken.facts.skipped) == (32, {})  # it is told when it is met
