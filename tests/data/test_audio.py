"""Sources of sounds from everything that users have: tables, folders, tars, parquet."""

import json

import pyarrow as pa
import pyarrow.parquet
import pytest

from chiasm.data.audio import AudioTextSettings
from chiasm.data.source import Opening
from chiasm.errors import UserError


def opened(path, **settings):
    return AudioTextSettings(path=str(path), **settings).open("chirps", Opening())


def texts(source) -> set[str]:
    return {source[number].text for number in range(len(source))}


def test_a_table_beside_its_sounds(tmp_path, sounds) -> None:
    found = opened(sounds.folder(tmp_path / "chirps", 10), task="transcript")
    facts = found.facts
    assert (facts.rows, facts.documents) == (10, 20)
    assert (facts.column, facts.audio_column) == ("text", "audio")
    assert 0 < facts.held_out < 20
    assert texts(found.train) == {
        f"{w}: chirp {n}" for w in ("speech", "transcript") for n in range(3)
    }
    line = facts.line("chirps")
    assert "sounds from 'audio', words from 'text' -> 20 documents" in line
    assert "0.000696 hours of sound, the longest 0.251 seconds" in line


def test_sounds_that_one_group_or_one_file_shares_are_on_one_side(tmp_path, sounds) -> None:
    folder = sounds.folder(tmp_path / "chirps", 12)
    lines = [
        {"audio": f"{n}.wav", "transcription": f"chirp {n}", "speaker": f"{n % 3}"}
        for n in range(12)
    ]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = opened(folder, group_column="speaker", held_out_fraction=0.3)
    sides = [
        {int(text.split()[-1]) % 3 for text in texts(side)}
        for side in (found.train, found.held_out)
    ]
    assert sides[0].isdisjoint(sides[1])


def test_folders_of_sounds_with_words_beside_them_or_labels_above(tmp_path, sounds) -> None:
    beside, above = tmp_path / "beside", tmp_path / "above"
    for number in range(6):
        content = sounds.written(sounds.chirp(800, 8000, number), 8000, format="FLAC")
        label = above / ("low" if number < 3 else "high")
        label.mkdir(parents=True, exist_ok=True)
        beside.mkdir(exist_ok=True)
        (label / f"{number}.flac").write_bytes(content)
        (beside / f"{number}.flac").write_bytes(content)
        (beside / f"{number}.txt").write_text(f"chirp {number}")
    found = opened(beside)
    assert found.facts.audio_column == "audio"
    assert len(texts(found.train) | texts(found.held_out)) == 12
    labels = texts(opened(above).train)
    assert labels <= {f"{w}: {n}" for w in ("sound", "caption") for n in ("low", "high")}
    (beside / "5.txt").write_text("")
    assert opened(beside).facts.skipped == {"no text": 1}


def test_a_tar_of_samples(tmp_path, sounds, made) -> None:
    members = []
    for number in range(5):
        # Silence is text by its bytes, and a sound all the same.
        content = sounds.written(0 * sounds.chirp(128, 8000), 8000) if number == 2 else b""
        content = content or sounds.written(sounds.chirp(800, 8000, number), 8000)
        members += [(f"{number}.wav", content), (f"{number}.txt", f"chirp {number}")]
    found = opened(made.tar(tmp_path / "chirps.tar", members))
    assert (found.facts.documents, found.facts.skipped) == (10, {})
    assert found.train[0].spans[0].samples(8000).shape[0] == 1


def test_parquet_as_the_hub_has_it(tmp_path, sounds) -> None:
    rows = [
        {
            "audio": {
                "bytes": sounds.written(sounds.chirp(800, 8000, n), 8000),
                "path": f"{n}.wav",
            },
            "sentence": f"chirp {n}",
        }
        for n in range(5)
    ]
    pa.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    found = opened(tmp_path)
    assert (found.facts.column, found.facts.documents) == ("sentence", 10)


def test_sounds_without_words_are_told_how_to_have_some(tmp_path, sounds) -> None:
    folder = sounds.folder(tmp_path / "chirps", 4)
    (folder / "metadata.jsonl").unlink()
    with pytest.raises(UserError, match="holds sounds, but no captions were found; write metadata"):
        opened(folder)
    alone = AudioTextSettings(path=str(folder)).open_sounds("chirps", Opening())
    assert alone.facts.documents == 4
    assert not alone.train[0].text


def test_mistakes_are_told(tmp_path, sounds) -> None:
    folder = sounds.folder(tmp_path / "chirps", 8)
    with pytest.raises(UserError, match=r"most_clips = 2 counts items of clip_seconds = 0"):
        AudioTextSettings(path="x", most_clips=2).check()
    with pytest.raises(UserError, match="audio_column = 'sound' is no column"):
        opened(folder, audio_column="sound")
    for number in range(8):
        (folder / f"{number}.wav").write_bytes(b"noise")
    with pytest.raises(UserError, match=r"8 of 8 rows cannot be used \(sound cannot be read: 8"):
        opened(folder)
