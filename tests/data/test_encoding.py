import numpy as np
import pytest

from chiasm.batch.streams import Streams, StreamShape
from chiasm.data.encoding import DocumentEncoder
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Continuous, Document, Image, Text, question_spans
from chiasm.errors import UserError


class Shapes:
    """Knows grids, and reads nothing."""

    def __init__(self, streams):
        self.streams = streams

    def grid(self, item):
        return self.streams.reading(item.stream, item.target).grid


@pytest.fixture
def encoder_of(made):
    return lambda sequence_length: DocumentEncoder(made.tokenizer, made.reader, sequence_length)


def test_layout(made, encoder_of):
    t = made.tokenizer
    document = Document(
        (
            Image(made.picture(0), target=False),
            Text("caption: a"),
            Image(made.picture(1), target=True),
        )
    )
    (piece,) = encoder_of(64)(document)
    marks = t.marks["image"]
    image = [marks.begin, *[marks.fill] * 3, marks.end]
    expected = [t.bod_id, *image, *t.encode("caption: a"), *image, t.eod_id]
    assert piece.ids.tolist() == expected
    assert piece.items.tolist() == [[0, 0, 0], [1, 0, 1]]


def test_an_item_stands_between_the_marks_of_its_stream():
    t = TextTokenizer.train(["a door"], 300, ["sound"])
    shapes = (
        StreamShape("image", "vision", (1, 3), 1),
        StreamShape("seen", "vision", (2, 2), 1, context_of="image"),
        StreamShape("sound", "sound", (2,), 1),
    )
    picture = np.zeros((8, 8, 3), np.uint8)
    spans = (
        Continuous([0.5, 1.0], target=True, stream="sound"),
        Image(picture, target=False),
        Image(picture, target=True),
    )
    encode = DocumentEncoder(t, Shapes(Streams(shapes)), 64)
    (piece,) = encode(Document(spans))
    image, sound = t.marks["image"], t.marks["sound"]
    assert piece.ids.tolist() == [
        t.bod_id,
        *(sound.begin, *[sound.fill] * 2, sound.end),
        *(image.begin, *[image.fill] * 4, image.end),
        *(image.begin, *[image.fill] * 3, image.end),
        t.eod_id,
    ]
    assert piece.items.tolist() == [[0, 2, 1], [1, 1, 0], [2, 0, 1]]
    with pytest.raises(
        UserError, match=r"no stream 'smell' here, only image, .*\[streams\.smell\]"
    ):
        encode(Document((Continuous(b"", target=True, stream="smell"),)))


def test_adjacent_texts_read_as_one_string(made, encoder_of):
    whole = encoder_of(64)(Document((Text("the wall is brick"),)))
    parts = encoder_of(64)(Document((Text("the wa"), Text(""), Text("ll is brick"))))
    assert [p.ids.tolist() for p in whole] == [p.ids.tolist() for p in parts]


def test_a_document_that_fills_a_row_is_whole_and_one_more_token_splits_it(made, encoder_of):
    document = Document((Text("the wall is brick"), Image(made.picture(0), target=True)))
    (piece,) = encoder_of(64)(document)
    assert len(encoder_of(len(piece.ids))(document)) == 1
    assert len(encoder_of(len(piece.ids) - 1)(document)) == 2


def test_a_long_document_is_split_between_spans_and_images_stay_whole(made, encoder_of):
    t = made.tokenizer
    marks = t.marks["image"]
    spans = [Text("video:")]
    for number in range(6):
        spans += [Image(made.picture(number), target=bool(number)), Text(f"frame {number} ")]
    pieces = encoder_of(17)(Document(tuple(spans)))
    assert len(pieces) > 2
    assert np.concatenate([p.items for p in pieces]).tolist() == [
        [number, 0, int(number > 0)] for number in range(6)
    ]
    for piece in pieces:
        assert len(piece.ids) <= 17
        assert piece.ids[0] == t.bod_id
        assert piece.ids[-1] == t.eod_id
        begin = np.flatnonzero(piece.ids == marks.begin)
        assert (piece.ids[begin[:, None] + 1 + np.arange(3)] == marks.fill).all()
        assert (piece.ids[begin + 4] == marks.end).all()
    text = "".join(t.decode(piece.ids.tolist()) for piece in pieces)
    assert text == Document(tuple(spans)).text


def test_a_text_longer_than_a_row_is_cut_at_its_length(made, encoder_of):
    t = made.tokenizer
    text = "while 27 lamps glow " * 10
    pieces = encoder_of(20)(Document((Text(text),)))
    assert [len(p.ids) for p in pieces[:-1]] == [20] * (len(pieces) - 1)
    assert "".join(t.decode(p.ids.tolist()) for p in pieces) == text


def test_an_empty_document_is_two_positions(made, encoder_of):
    (piece,) = encoder_of(20)(Document((Text(""),)))
    assert piece.ids.tolist() == [made.tokenizer.bod_id, made.tokenizer.eod_id]


def test_of_questions_answers_and_their_ends_alone_are_learned(made, encoder_of):
    t = made.tokenizer
    asked = (*question_spans("a door?", "yes"), *question_spans("two rooms?", "no, one"))
    document = Document((Image(made.picture(0), target=False), *asked))
    [piece], [plain] = (encoder_of(200)(document, only_answers=own) for own in (True, False))
    assert piece.ids.tolist() == plain.ids.tolist()
    assert plain.asked is None
    prompts = "question: a door? answer:question: two rooms? answer:"
    assert t.decode(piece.ids[piece.asked].tolist()) == prompts
    learned = piece.ids[~piece.asked].tolist()
    assert t.decode(learned[6:-1]) == " yes\n no, one\n", (
        "behind <bod> and the picture, before <eod>"
    )


def test_a_token_of_prompt_and_answer_is_learned(made, encoder_of):
    document = Document((Text("a d", prompt=True), Text("oor")))
    [piece] = encoder_of(64)(document, only_answers=True)
    asked, learned = (piece.ids[own].tolist() for own in (piece.asked, ~piece.asked))
    assert made.tokenizer.decode(asked) == "a"
    assert made.tokenizer.decode(learned[1:-1]) == " door"


def test_prompts_are_told_of_every_piece_of_a_long_document(made, encoder_of):
    spans = [span for n in range(6) for span in question_spans(f"is it door {n}?", "no")]
    pieces = encoder_of(40)(Document(tuple(spans)), only_answers=True)
    assert len(pieces) > 2
    told = [made.tokenizer.decode(piece.ids[~piece.asked].tolist()[1:-1]) for piece in pieces]
    assert "".join(told) == " no\n" * 6
    assert encoder_of(40)(Document((Text("a door"),)), only_answers=True)[0].asked is None
