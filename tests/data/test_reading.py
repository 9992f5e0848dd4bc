"""Documents that can be used, and the count of those that cannot."""

from pathlib import Path

import pytest

from chiasm.data.reading import ReadingLog, refuse_absurd
from chiasm.documents import Document, Image, Sound, Text
from chiasm.errors import UserError
from chiasm.sound.kinds import MdctSettings
from chiasm.tokenizers.streams import StreamTokenizers


def picture(data: object) -> Document:
    return Document((Image(data, target=False), Text("caption: a door")))


def test_bad_documents_are_passed_over_and_counted_once_by_reason(made, tmp_path: Path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    documents = [
        *(Document((Text(f"story {n}"),)) for n in range(4)),
        *(Document(()), Document((Text(""),)), Document((Text("never given"),))),
        *(picture(tmp_path / "broken.png"), picture(tmp_path / "missing.png")),
        *(picture(made.picture_file(1)), picture(b"nor this")),
    ]
    source, log = made.Listed("mine", documents, unreadable=frozenset({6})), ReadingLog()
    good = [0, 1, 2, 3, 9]
    assert [number for number, _ in log.documents(source, range(11))] == good
    assert [number for number, _ in log.documents(source, range(11))] == good
    [found] = log.passed_over().values()
    assert found.documents_read == 11
    assert found.reasons == {"empty": 2, "cannot be read": 1, "a picture cannot be decoded": 3}
    assert found.first == "mine[4] is empty"


def test_words_alone_can_be_read_where_pictures_are_broken(made):
    source, log = made.Listed("mine", [picture(b"no picture"), picture(b"nor this")]), ReadingLog()
    assert len(list(log.documents(source, range(2), pictures=False))) == 2
    assert log.passed_over() == {}
    assert not list(log.documents(source, range(2)))
    assert log.passed_over()["mine"].reasons == {"a picture cannot be decoded": 2}


def test_items_that_are_no_pictures_are_looked_at_by_a_reader(made, sounds):
    tokenizers = StreamTokenizers({"sound": MdctSettings(rate=8000, seconds=0.1).open()})
    given = [sounds.written(sounds.chirp(n, 8000), 8000) for n in (700, 8000)] + [b"no sound"]
    documents = [Document((Sound(data, target=True),)) for data in given]
    source = made.Listed("mine", documents)
    assert len(list(ReadingLog().documents(source, range(3)))) == 3
    log = ReadingLog(tokenizers)
    for _ in range(2):
        assert [number for number, _ in log.documents(source, range(3))] == [0]
    assert log.passed_over()["mine"].reasons == {"an item cannot be read": 2}
    assert len(list(ReadingLog(tokenizers).documents(source, range(3), pictures=False))) == 3


def test_something_else_than_a_document_is_counted_too(made):
    source, log = made.Listed("walks", []), ReadingLog()
    for _ in range(2):
        log.pass_over(source, "frames from 3", "a picture cannot be decoded", "frame 4 is broken")
    [found] = log.passed_over().values()
    assert found.reasons == {"a picture cannot be decoded": 1}
    assert found.first == "walks, frames from 3: frame 4 is broken"


def test_a_source_that_is_mostly_bad_is_refused(made):
    source = made.Listed("mine", [Document(())] * 20)
    with pytest.raises(UserError, match="'mine': 13 of 13 documents cannot be used"):
        list(ReadingLog().documents(source, range(20)))


def test_some_bad_documents_are_no_reason_to_stop():
    refuse_absurd("mine", bad=12, drawn=12, why="few so far")
    refuse_absurd("mine", bad=19, drawn=21, why="half of many, by bad luck")
    refuse_absurd("mine", bad=770, drawn=1000, why="three quarters, by luck a few more")
    with pytest.raises(UserError, match="the last: broken"):
        refuse_absurd("mine", bad=780, drawn=1000, why="broken")
