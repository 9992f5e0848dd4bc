import os
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from chiasm.data.index import NO_INDEX, SETTLED_NS, Found, Index
from chiasm.data.source import SOURCES, Opening


class Looking:
    """Looks into files, and counts how often."""

    def __init__(self, *looked_at):
        self.times, self.looked_at = 0, looked_at

    def __call__(self):
        self.times += 1
        return Found({"times": self.times}, {"a": np.arange(self.times)}, self.looked_at)


@pytest.fixture
def index(tmp_path):
    return Index(tmp_path / "index", least_seconds=0)


@pytest.fixture
def files(tmp_path):
    """Two files that were not touched of late."""
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_bytes(b"old")
    time.sleep(SETTLED_NS / 1e9)
    return paths


def test_what_was_found_is_kept_while_its_files_are_unchanged(index, files, made, tmp_path):
    beside = tmp_path / "beside"
    look = Looking(str(beside))
    for _ in range(2):
        found = index.of("x", files, look)
        assert (dict(found.facts), found.arrays["a"].tolist()) == ({"times": 1}, [0])
    assert index.of("y", files, look).facts["times"] == 2
    assert index.of("x", files[::-1], look).facts["times"] == 3
    made.edit_unseen(files[0], b"new")  # its old time stamp is no excuse
    assert index.of("x", files, look).facts["times"] == 4
    beside.write_bytes(b"")
    assert index.of("x", files, look).facts["times"] == 5  # what was looked for is there now


def test_files_that_changed_a_moment_ago_are_looked_at_again(index, files):
    look = Looking()
    files[0].write_bytes(b"other")
    for times in (1, 2):
        assert index.of("x", files, look).facts["times"] == times


def test_what_is_damaged_is_looked_for_again(index, files, tmp_path):
    look = Looking()
    index.of("x", files, look)
    [kept] = (tmp_path / "index").rglob("*.npz")
    for content in (b"", b"PK\x03\x04 nothing", kept.read_bytes()[:-30]):
        kept.write_bytes(content)
        before = look.times
        assert index.of("x", files, look).facts["times"] == before + 1


def test_what_takes_no_time_and_what_has_no_place_is_not_kept(files, tmp_path):
    look = Looking()
    below_a_file = Index(tmp_path / "a" / "b", least_seconds=0)
    for index in (Index(tmp_path / "index", least_seconds=9), NO_INDEX, below_a_file):
        before = look.times
        for times in (1, 2):
            assert index.of("x", files, look).facts["times"] == before + times
    assert not (tmp_path / "index").exists()


def test_names_that_are_no_unicode_are_known(index, tmp_path):
    strange = tmp_path / os.fsdecode(b"caf\xe9")
    strange.write_bytes(b"x")
    time.sleep(SETTLED_NS / 1e9)
    look = Looking(str(strange))
    for _ in range(2):
        assert index.of("x", [strange], look).facts["times"] == 1


def test_nothing_that_is_kept_is_run(index, files, tmp_path):
    """An array of objects would be unpickled, which runs what it says."""

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    look = Looking()
    index.of("x", files, look)
    [kept] = (tmp_path / "index").rglob("*.npz")
    with np.load(kept) as arrays:
        own = dict(arrays)
    with kept.open("wb") as file:
        np.savez(file, **own | {"a": np.array([Trap()], dtype=object)})
    assert index.of("x", files, look).facts["times"] == 2
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("form", ["pictures", "metadata", "tar", "parquet", "interleaved"])
def test_an_opening_with_an_index_finds_what_one_without_finds(form, made, tmp_path, monkeypatch):
    """Until something has changed, a file that was missing included."""
    monkeypatch.setattr("chiasm.data.index.LEAST_SECONDS", 0.0)
    folder, caption = tmp_path / "in", {k: f"a {k}" for k in range(8)}
    pictures = {f"{k}.png": made.picture_file(k) for k in range(7)}
    rows = [{"file_name": f"{k}.png", "text": caption[k]} for k in range(8)]
    if form == "pictures":
        made.files(folder, pictures | {f"{k}.txt": caption[k] for k in range(7)})
    elif form == "tar":
        made.shards(folder, 4, 3)
    elif form == "parquet":
        made.files(folder, pictures)
        pa.parquet.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    elif form == "metadata":
        made.files(folder, pictures | {"metadata.jsonl": made.json_lines(rows)})
    else:
        pages = [{"spans": [caption[k], {"image": f"{k}.png"}]} for k in range(8)]
        made.files(folder, pictures | {"docs.jsonl": made.json_lines(pages)})
    time.sleep(SETTLED_NS / 1e9)
    kind = "interleaved" if form == "interleaved" else "image_text"
    settings = SOURCES.of(kind).model_validate({"path": str(folder)})

    def opened(cache):
        source = settings.open("mine", Opening(40, cache_folder=tmp_path / cache))
        sides = (source.train, source.held_out)
        return source.facts, [made.documents(side) for side in sides]

    fresh, first, again = opened("fresh"), opened("kept"), opened("kept")
    assert fresh == first == again
    assert list((tmp_path / "kept" / "index").rglob("*.npz"))
    if form in ("pictures", "metadata", "interleaved"):
        made.edit_unseen(folder / "3.png", made.picture_file(3)[:-1] + b"?")
        assert opened("kept")[0].fingerprint != first[0].fingerprint
        made.files(folder, {"7.png": made.picture_file(7), "7.txt": "a 7"})
    elif form == "tar":
        made.shards(folder, 4, 4)
    else:
        made.files(folder, {"7.png": made.picture_file(7)})
    found = opened("kept")
    assert found == opened("anew")
    assert found[0].documents == first[0].documents + (1 if form == "interleaved" else 2)
