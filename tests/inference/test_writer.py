"""Streamed text joins to the whole, holds back what is unsettled, and stops in time."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from chiasm.inference.writer import Writer


def decode(ids: Sequence[int]) -> str:
    """A tokenizer of single bytes."""
    return bytes(ids).decode("utf-8", errors="replace")


def write(text: str, stop: tuple[str, ...]) -> tuple[Writer, list[str]]:
    writer = Writer(decode, stop)
    pieces = []
    for byte in text.encode():
        pieces.append(writer.add(byte))
        if writer.stopped:
            break
    return writer, [*pieces, writer.finish()]


@given(st.text(alphabet="abé€\n", max_size=30), st.sampled_from([(), ("ab",), ("b\n", "aba")]))
def test_pieces_join_to_the_text_before_the_first_stop(text: str, stop: tuple[str, ...]) -> None:
    writer, pieces = write(text, stop)
    ends = [text.find(string) for string in stop if string in text]
    assert "".join(pieces) == writer.text
    assert writer.stopped == bool(ends)
    if not ends:
        assert writer.text == text
    else:  # the stop that is complete first ends the text, and no stop is inside
        assert text.startswith(writer.text)
        assert not any(string in writer.text for string in stop)


def test_unfinished_characters_and_beginnings_of_stops_are_held_back() -> None:
    writer = Writer(decode, ("END",))
    euro = "€".encode()
    assert [writer.add(byte) for byte in euro] == ["", "", "€"]
    assert [writer.add(byte) for byte in b"xEN"] == ["x", "", ""]
    assert writer.add(ord("x")) == "ENx"
    assert not writer.stopped
    assert writer.add(ord("E")) == ""
    assert writer.finish() == "E"
