"""Clips: which frames at which times, and what is left out."""

import os
import time
from collections import Counter
from fractions import Fraction
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chiasm.data.index import SETTLED_NS, Index
from chiasm.data.keys import picture_key
from chiasm.data.source import SOURCES, Opening
from chiasm.documents import Text
from chiasm.video import frame, reader


@pytest.fixture
def folder(films, made, tmp_path):
    """Four videos of 60 frames at 30 per second, which show numbers from 0, 100, 200 and 300 on."""
    for number in range(4):
        films.write(tmp_path / f"{number}.mp4", first=100 * number)
    return made.files(tmp_path, {f"{number}.txt": f"film {number}" for number in range(4)})


def numbers(films, document):
    return [films.number(image.pixels()) for image in document.images]


def clips(films, made, opened):
    """The numbers that the clips of both sides show, in order of the files."""
    documents = [*made.documents(opened.train), *made.documents(opened.held_out)]
    return sorted(numbers(films, document) for document in documents)


def test_clips_lie_one_after_another_at_a_fixed_rate(folder, films, made):
    opened = made.open(folder, "video", frames=4, frames_per_second=6)
    starts = [100 * film + begin for film in range(4) for begin in (0, 20, 40)]
    assert clips(films, made, opened) == [[s, s + 5, s + 10, s + 15] for s in starts]
    [*spans] = opened.train[0].spans
    assert spans[0] == Text("video:")
    assert [span.target for span in spans[1:]] == [True] * 4
    assert [span.data.time for span in spans[1:]] == [
        spans[1].data.time + Fraction(n, 6) for n in range(4)
    ]
    facts = opened.facts
    assert (facts.rows, facts.documents, facts.held_out, facts.skipped) == (4, 12, 3, {})
    assert "12 clips of 4 videos" in facts.notes


@pytest.mark.parametrize(
    ("settings", "begins", "step"),
    [
        ({"frame_stride": 7}, [0, 21, 42], 7),
        ({"frame_stride": 10}, [0, 30], 10),
        ({"frame_stride": 1, "clip_spacing": 30}, [0, 30], 1),
        ({"frames_per_second": 10, "clip_spacing": 1, "clips_per_file": 3}, [9, 27, 45], 3),
        ({"frames_per_second": 10, "clips_per_file": 1}, [27], 3),
        ({"frames_per_second": 30, "clip_spacing": 40}, [0, 40], 1),
    ],
)
def test_strides_overlaps_and_numbers_of_clips(settings, begins, step, folder, films, made):
    opened = made.open(folder, "video", frames=3, **settings)
    found = [each for each in clips(films, made, opened) if each[0] < 100]
    assert found == [[begin + step * n for n in range(3)] for begin in begins]


@pytest.mark.parametrize("settings", [{"frame_stride": 7}, {"frames_per_second": 6}])
def test_an_opening_with_an_index_finds_what_one_without_finds(
    settings, folder, made, tmp_path_factory, monkeypatch
):
    """The times of frames included, which later reads go by."""
    monkeypatch.setattr("chiasm.data.source.Index", partial(Index, least_seconds=0))
    time.sleep(SETTLED_NS / 1e9)
    named = SOURCES.of("video").model_validate({"path": str(folder), "frames": 3, **settings})

    caches = tmp_path_factory.mktemp("caches")

    def opened(cache):
        found = named.open("mine", Opening(40, cache_folder=caches / cache))
        return found.facts, [made.documents(side) for side in (found.train, found.held_out)]

    first, again, fresh = opened("kept"), opened("kept"), opened("fresh")
    assert first == again == fresh
    assert list((caches / "kept").rglob("*.npz"))


def test_strides_count_the_frames_of_a_varying_rate(films, made, tmp_path):
    stamps = [0, 40, 80, 520, 560, 1000, 3000, 3040]
    for number in range(2):
        file = tmp_path / f"{number}.mkv"
        films.write(file, 8, first=10 * number, stamps=stamps, rate=25)
    opened = made.open(tmp_path, "video", frames=4, frame_stride=2)
    assert clips(films, made, opened) == [[0, 2, 4, 6], [10, 12, 14, 16]]
    assert [image.data.time for image in opened.train[0].images] == [
        Fraction(ms, 1000) for ms in (0, 80, 560, 3000)
    ]


def test_captions_go_in_both_directions_and_take_turns(folder, films, made):
    lines = [{"video": f"{n}.mp4", "caption": [f"film {n}", f"no. {n}"]} for n in range(4)]
    made.files(folder, {"metadata.jsonl": made.json_lines(lines)})
    opened = made.open(folder, "video", task="captioned_video", frames=6, frames_per_second=3)
    assert (opened.facts.documents, opened.facts.column) == (8, "caption")
    seen, drawn = opened.train[0], opened.train[1]
    film = numbers(films, seen)[0] // 100
    assert [type(span).__name__ for span in seen.spans] == ["Image"] * 6 + ["Text"]
    assert [type(span).__name__ for span in drawn.spans] == ["Text"] + ["Image"] * 6
    assert {image.target for image in seen.images} == {False}
    assert {image.target for image in drawn.images} == {True}
    assert numbers(films, seen) == numbers(films, drawn) == [100 * film + 10 * n for n in range(6)]
    assert seen.text == f"caption: film {film}"
    said = {opened.train.variant(1, turn).text for turn in range(2)}
    assert said == {f"video: film {film}", f"video: no. {film}"}


def test_unusable_files_are_counted_by_reason(folder, films, made):
    films.cut(films.write(folder / "a.mkv"), 0.5)
    films.write(folder / "short.mp4", 10)
    stopped = films.write(folder / "stopped.mp4", options={"bf": "0"})
    index = stopped.read_bytes()
    at = index.index(b"stts") + 16  # the time from one frame to the next
    stopped.write_bytes(index[:at] + bytes(4) + index[at + 4 :])
    films.write(folder / "linear.mp4", prepare=lambda stream: _set_transfer(stream, 8))
    made.files(folder, {"text.mov": "no video", "empty.ts": ""})
    os.symlink(folder / "gone.mp4", folder / "link.mp4")
    opened = made.open(folder, "video", frames=4, frames_per_second=6)
    assert opened.facts.skipped == {
        "cut off": 1,
        "shorter than a clip": 1,
        "most frames share a time stamp with another": 1,
        "transfer function 8 of H.273 is not known": 1,
        "cannot be opened": 2,
    }
    assert opened.facts.documents == 15


@pytest.fixture(params=["tar", "parquet", "hub"])
def packed(request, folder, made, tmp_path_factory):
    """The four videos with their captions as members of a tar, or in cells of a table."""
    contents = [(folder / f"{number}.mp4").read_bytes() for number in range(4)]
    place = tmp_path_factory.mktemp("packed")
    if request.param == "tar":
        members = [(f"{n}.mp4", content) for n, content in enumerate(contents)]
        return made.tar(place / "a.tar", [*members, *((f"{n}.txt", f"film {n}") for n in range(4))])
    cells = contents
    if request.param == "hub":  # as the datasets library writes videos
        cells = [{"bytes": content, "path": f"{n}.mp4"} for n, content in enumerate(contents)]
    texts = [f"film {number}" for number in range(4)]
    pq.write_table(pa.table({"video": cells, "text": texts}), place / "a.parquet")
    return place / "a.parquet"


def test_videos_in_tars_and_tables_are_read_as_files_are(packed, folder, films, made):
    settings = {"task": "captioned_video", "frames": 4, "frames_per_second": 6}
    opened = made.open(packed, "video", **settings)
    files = made.open(folder, "video", **settings)
    assert opened.facts.skipped == {}
    assert opened.facts.documents == files.facts.documents == 24

    def shown(opened):
        sides = ([*made.documents(opened.train)], [*made.documents(opened.held_out)])
        return [sorted((each.text, numbers(films, each)) for each in side) for side in sides]

    assert shown(opened) == shown(files)
    assert len({image.data.path for image in opened.train[0].images}) == 1


def test_a_video_in_a_tar_is_taken_out_of_it_once(packed, made, monkeypatch):
    """But for copies that somebody has deleted."""
    opened = made.open(packed, "video", frames=4, frames_per_second=6)
    [copy] = {image.data.path for image in opened.train[0].images}
    first = next(opened.train[0].images).pixels()
    copy.unlink()
    assert (next(opened.train[0].images).pixels() == first).all()
    assert copy.exists()
    monkeypatch.setattr("chiasm.data.clips.taken_out", None)
    assert {image.data.path for image in opened.train[0].images} == {copy}


def test_a_broken_video_in_a_tar_is_counted(folder, made, tmp_path):
    content = (folder / "0.mp4").read_bytes()
    members = [("0.mp4", content), ("1.mp4", (folder / "1.mp4").read_bytes()), ("2.mp4", b"no")]
    opened = made.open(made.tar(tmp_path / "a.tar", members), "video", frames=4)
    assert opened.facts.skipped == {"cannot be opened": 1}


def test_copies_of_a_file_are_on_one_side(folder, films, made):
    for number in range(4):
        (folder / f"copy-{number}.mp4").write_bytes((folder / f"{number}.mp4").read_bytes())
    opened = made.open(folder, "video", frames=4, frames_per_second=6, held_out_fraction=0.5)
    sides = [
        {numbers(films, document)[0] // 100 for document in made.documents(side)}
        for side in (opened.train, opened.held_out)
    ]
    assert sides[0].isdisjoint(sides[1])
    assert set.union(*sides) == set(range(4))
    assert opened.facts.documents == 24
    assert opened.train.cluster_of(0) == opened.train.cluster_of(1)


def test_the_fingerprint_is_that_of_contents_and_sampling(folder, films, made, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy")
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())

    def fingerprint(**settings):
        return made.open(copy, "video", **{"frames": 4, **settings}).facts.fingerprint

    first = fingerprint()
    assert first == made.open(folder, "video", frames=4).facts.fingerprint
    others = [fingerprint(frames_per_second=3), fingerprint(clip_spacing=2)]
    others += [fingerprint(untagged_matrix="bt709")]
    films.write(copy / "0.mp4", first=500)
    assert len({first, *others, fingerprint()}) == 5


def test_what_colors_are_assumed_is_told_once(folder, films, made):
    films.write(folder / "named.mp4", prepare=lambda stream: _set_matrix(stream, 1))
    told = "videos that name no color matrix are read by untagged_matrix: "
    notes = made.open(folder, "video", frames=4).facts.notes
    assert [note for note in notes if "matrix" in note] == [f"{told}4 as bt601"]
    notes = made.open(folder, "video", frames=4, untagged_matrix="bt709").facts.notes
    assert [note for note in notes if "matrix" in note] == [f"{told}4 as bt709"]


def test_a_run_has_the_clips_behind_a_key_frame(films, made, tmp_path):
    """Key frames every second; runs are at least four seconds long, and those of one file."""
    options = {"x264-params": "keyint=30:min-keyint=30:scenecut=0"}
    for number in range(3):
        films.write(tmp_path / f"{number}.mp4", 330, first=330 * number, options=options)
    made.files(tmp_path, {f"{number}.txt": f"film {number}" for number in range(3)})
    for task, ways in (("video", 1), ("captioned_video", 2)):
        opened = made.open(tmp_path, "video", task=task, frames=5, frames_per_second=5)
        source = opened.train
        of_a_file = [4] * ways + [4] * ways + [3] * ways
        sizes = np.unique(source.runs, return_counts=True)[1].tolist()
        assert sizes == of_a_file * (len(source) // sum(of_a_file))
        for index in range(0, len(source), 9):
            clip = source[index]
            [together] = {image.data.together for image in clip.images}
            own = np.flatnonzero(source.runs == source.runs[index])
            assert set(own % ways) == {index % ways}
            images = [image for number in own for image in source[int(number)].images]
            assert together == tuple(sorted(image.data.time for image in images))
            assert {image.data.path for image in images} == {next(clip.images).data.path}


def test_a_stream_decodes_each_frame_once_an_epoch(films, made, tmp_path, monkeypatch):
    """But for those before the first clip of the run that an end of a stretch has cut."""
    for number in range(4):
        films.write(tmp_path / f"{number}.mkv", 300, first=200 * number)
    decoded = Counter()
    _count(monkeypatch, decoded, "_stamp")
    opened = made.open(tmp_path, "video", frames=4, frames_per_second=30)
    frame._forget()
    decoded.clear()
    stream = made.stream({"films": opened.train}, sequence_length=40)
    shown = 0
    while shown < 900:
        shown += len(next(stream).slots["image"].items)
    stream.close()
    assert 850 < decoded["_stamp"] < 1300


def test_a_restored_stream_gives_the_same_frames(folder, made):
    opened = made.open(folder, "video", frames=4, frames_per_second=6)
    stream = made.stream({"films": opened.train}, sequence_length=40)
    next(stream)
    state = stream.get_state()
    wanted = [next(stream) for _ in range(5)]
    other = made.stream({"films": opened.train}, sequence_length=40)
    other.set_state(state)
    for batch in wanted:
        again = next(other)
        assert bool((batch.ids_BT == again.ids_BT).all())
        pairs = zip(batch.slots["image"].items, again.slots["image"].items, strict=True)
        assert all(bool((one == two).all()) for one, two in pairs)
    stream.close()
    other.close()


def test_frames_of_overlapping_clips_have_one_key(folder, made):
    opened = made.open(folder, "video", frames=4, frames_per_second=6, clip_spacing=1)
    times = {}
    for document in made.documents(opened.train):
        for image in document.images:
            times.setdefault((image.data.path, image.data.time), set()).add(picture_key(image))
    assert {len(keys) for keys in times.values()} == {1}
    assert len(set.union(*times.values())) == len(times) == 12 * len({p for p, _ in times})


def test_each_frame_is_followed_by_what_is_heard_until_the_next(films, made, tmp_path):
    for number in range(4):
        films.write(tmp_path / f"{number}.mp4", first=100 * number, sound=number != 3)
    made.files(tmp_path, {f"{number}.txt": f"film {number}" for number in range(4)})
    settings = {"task": "captioned_video", "frames": 4, "frames_per_second": 6, "sound": True}
    opened = made.open(tmp_path, "video", **settings)
    assert opened.facts.skipped == {"no sound track": 1}
    assert "each frame is followed by 0.1667 seconds of sound" in opened.facts.notes
    seen, drawn = opened.train[0], opened.train[1]
    names = [type(span).__name__ for span in seen.spans]
    assert names == ["Image", "Sound"] * 4 + ["Text"]
    assert [type(span).__name__ for span in drawn.spans] == ["Text"] + ["Image", "Sound"] * 4
    assert [item.target for document in (seen, drawn) for item in document.items] == (
        [False] * 8 + [True] * 8
    )
    for image, sound in zip(seen.images, [*seen.items][1::2], strict=True):
        assert sound.data.path == image.data.path
        assert sound.data.begin == image.data.time
        assert sound.data.end == image.data.time + Fraction(1, 6)
        assert sound.samples(48000).std() > 0.03
    [longest] = opened.train.longest_documents()
    assert len([*longest.items]) == 8
    without = made.open(tmp_path, "video", **settings | {"sound": False})
    assert without.facts.documents == 4 * 2 * 3
    assert without.facts.fingerprint != opened.facts.fingerprint


def test_documents_that_a_row_cannot_hold_are_named(folder, made):
    opened = made.open(folder, "video", task="captioned_video", frames=6, frames_per_second=3)
    [longest] = opened.train.longest_documents()
    assert (longest.text, len([*longest.images])) == ("video: film 0", 6)
    assert "mine.frames" in opened.train.shorter


def _count(monkeypatch, calls, name):
    plain = getattr(reader.VideoReader, name)

    def counted(own, time):
        calls[name] += 1
        return plain(own, time)

    monkeypatch.setattr(reader.VideoReader, name, counted)


def _set_transfer(stream, transfer):
    stream.codec_context.color_trc = transfer


def _set_matrix(stream, matrix):
    stream.codec_context.colorspace = matrix
