"""The kind video: its settings, and what is told of mistakes."""

import pytest

from chiasm.errors import UserError


@pytest.fixture
def folder(films, tmp_path):
    for number in range(3):
        films.write(tmp_path / f"{number}.mp4", first=100 * number)
    return tmp_path


def test_a_folder_of_videos_is_enough(folder, made):
    facts = made.open(folder, "video").facts
    assert (facts.kind, facts.rows, facts.video_column) == ("video", 3, "video")
    assert facts.line("films").startswith("films: 3 rows in 3 files, videos from 'video' ->")


def test_a_file_and_a_pattern_are_read(folder, films, made):
    assert made.open(folder / "*.mp4", "video").facts.rows == 3
    other = films.write(folder / "a.mkv", first=500)
    opened = made.open(folder / "0.mp4", "video", held_out_path=str(other))
    assert (len(opened.train), len(opened.held_out)) == (1, 1)


def test_captions_lie_beside_videos_or_in_a_table(folder, made):
    made.files(folder, {f"{number}.txt": f"film {number}" for number in range(2)})
    made.files(folder, {"2.json": '{"text": "film 2"}'})
    beside = made.open(folder, "video", task="captioned_video")
    assert beside.facts.documents == 6
    lines = [{"path": f"{number}.mp4", "description": f"no. {number}"} for number in range(2)]
    made.files(folder, {"metadata.jsonl": made.json_lines(lines)})
    table = made.open(folder, "video", task="captioned_video")
    assert (table.facts.rows, table.facts.video_column, table.facts.column) == (
        2,
        "path",
        "description",
    )
    assert "1 videos have no row" in table.facts.notes


def test_videos_without_captions_are_told_how_to_have_some(folder, made):
    with pytest.raises(UserError, match=r'captions were found; write .*"file_name": "barn\.mp4"'):
        made.open(folder, "video", task="captioned_video")


def test_mistakes_in_settings_are_told(folder, made):
    with pytest.raises(UserError, match=r"task = 'film' is no task of kind 'video'"):
        made.open(folder, "video", task="film")
    with pytest.raises(UserError, match=r"frame_stride = 2 leaves the time between frames"):
        made.open(folder, "video", sound=True, frame_stride=2)
    with pytest.raises(UserError, match=r"video_column = 'clip' is no column"):
        made.open(folder, "video", video_column="clip")
    with pytest.raises(UserError, match=r"holds nothing that can be read; .*or videos"):
        made.open(made.files(folder / "texts", {"a.doc": "x"}), "video")


def test_a_source_of_unusable_files_is_refused_with_the_first_reason(made, tmp_path):
    made.files(tmp_path, {"a.mp4": "no video", "b.mp4": "neither"})
    with pytest.raises(
        UserError, match=r"2 of 2 rows cannot be used \(cannot be opened: 2; .*a\.mp4"
    ):
        made.open(tmp_path, "video")


def test_pictures_alone_are_read_for_a_vision_tokenizer(folder, made):
    from chiasm.data.source import SOURCES, Opening

    settings = SOURCES.of("video").model_validate({"path": str(folder), "task": "captioned_video"})
    opened = settings.open_pictures("mine", Opening(40), side=("side", 8), captioned=False)
    assert opened.train[0].text == "video:"
