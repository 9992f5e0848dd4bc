import time

import numpy as np
import pytest

from chiasm.data.index import SETTLED_NS, Index
from chiasm.data.line_tables import JsonLines
from chiasm.data.sounds import PROMPTS, AudioTextSource, Cut, SoundSource
from chiasm.documents import Sound, Text
from chiasm.waveform import Segment, decoded


@pytest.fixture
def table(tmp_path, sounds):
    return JsonLines(sounds.folder(tmp_path / "chirps", 6) / "metadata.jsonl")


def test_each_row_is_written_once_and_heard_once(table) -> None:
    source = AudioTextSource("chirps", table, "audio", "text", prompts=PROMPTS["caption"])
    heard, asked = source[4], source[5]
    assert len(source) == 12
    assert [type(span) for span in heard.spans] == [Sound, Text]
    assert heard.text == "caption: chirp 2"
    assert not heard.spans[0].target
    assert [type(span) for span in asked.spans] == [Text, Sound]
    assert asked.text == "sound: chirp 2"
    assert asked.spans[1].target
    assert asked.spans[1].samples(8000).shape == (1, 2002)
    spoken = AudioTextSource("chirps", table, "audio", "text", prompts=PROMPTS["transcript"])
    assert [spoken[n].text for n in (0, 1)] == ["transcript: chirp 0", "speech: chirp 0"]
    assert source.survey.fingerprint == spoken.survey.fingerprint  # the same sounds and words


def test_a_sound_is_cut_into_items_that_join_to_it(table) -> None:
    source = SoundSource("chirps", table, "audio", cut=Cut(0.1))
    spans = source[3].spans
    assert [(span.data.begin, span.data.end) for span in spans] == [
        *((0, 800), (800, 1600), (1600, 2003)),
    ]
    joined = np.concatenate([span.samples(16_000) for span in spans], axis=1)
    whole = decoded(spans[0].data.file, 16_000)
    assert np.abs(joined - whole).max() < 1e-5
    assert len(SoundSource("chirps", table, "audio", cut=Cut(0.1, 2))[3].spans) == 2
    # 2003 samples are two items of 1000 and three samples more, which are no third one.
    halves = SoundSource("chirps", table, "audio", cut=Cut(0.125))[3].spans
    assert [span.data.end for span in halves] == [1000, 2000]
    assert isinstance(halves[0].data, Segment)
    [one] = SoundSource("chirps", table, "audio", cut=Cut(5.0))[3].spans
    assert one.samples(8000).shape == (1, 2003)


def test_rows_without_a_sound_are_counted_by_their_reason(table, tmp_path, sounds) -> None:
    folder = tmp_path / "chirps"
    (folder / "0.wav").write_bytes(b"")
    (folder / "1.wav").write_bytes(b"no sound")
    (folder / "2.wav").write_bytes(sounds.written(np.zeros((80, 32)), 8000))
    content = (folder / "4.wav").read_bytes()
    (folder / "4.wav").write_bytes(content[:-100])
    (folder / "3.wav").unlink()
    source = SoundSource("chirps", table, "audio")
    assert source.survey.skipped == {
        "sound file empty": 1,
        "sound cannot be read": 3,
        "sound file missing": 1,
    }
    assert (source.survey.identity_R >= 0).tolist() == [False] * 5 + [True]
    assert source.seconds == pytest.approx(2005 / 8000)


def test_sides_that_one_channel_would_average_are_told_once(table, tmp_path, sounds) -> None:
    assert len(SoundSource("chirps", table, "audio").notes) == 1
    for number in (1, 4):
        both = np.stack([sounds.chirp(2000, 8000, number)] * 2, axis=1)
        (tmp_path / f"chirps/{number}.wav").write_bytes(sounds.written(both, 8000))
    _, told = SoundSource("chirps", table, "audio").notes
    assert told == "2 of more than one channel: channels = 1 of the stream averages them"


def test_the_fingerprint_changes_with_sounds_and_with_their_cut(table, tmp_path, sounds) -> None:
    prints = {
        SoundSource("chirps", table, "audio", cut=cut).survey.fingerprint
        for cut in (Cut(), Cut(0.1), Cut(0.1, 1))
    }
    (tmp_path / "chirps/0.wav").write_bytes(sounds.written(sounds.chirp(2000), 8000))
    prints.add(SoundSource("chirps", table, "audio").survey.fingerprint)
    assert len(prints) == 4


def test_what_an_index_kept_is_what_is_found(table, tmp_path) -> None:
    """The lengths of sounds included, which later cuts go by."""
    (tmp_path / "chirps/3.wav").write_bytes(b"no sound")
    time.sleep(SETTLED_NS / 1e9)
    index = Index(tmp_path / "index", least_seconds=0)

    def found(seconds=0.1, index=index):
        source = SoundSource("chirps", table, "audio", cut=Cut(seconds), index=index)
        usable = np.flatnonzero(source.identities >= 0)
        spans = [[span.data for span in source[number].spans] for number in usable]
        return spans, source.survey.skipped, source.survey.fingerprint, source.notes

    assert found() == found() == found(index=Index(None))
    [kept] = (tmp_path / "index").rglob("*.npz")
    assert found(0.2) == found(0.2, Index(None)) != found()
    assert [*(tmp_path / "index").rglob("*.npz")] != [kept]
