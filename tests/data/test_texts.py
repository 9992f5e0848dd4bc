from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.data.texts import cut_text


@settings(deadline=None)
@given(st.text("ab .\n", max_size=300), st.integers(2, 40))
def test_cut_text_loses_nothing_and_keeps_the_bound(text, characters):
    parts = list(cut_text(text, characters))
    assert "".join(parts) == text
    assert all(len(part) <= characters for part in parts)
    assert all(len(part) > characters // 2 for part in parts[:-1])


def test_cut_text_prefers_paragraphs_then_lines_then_sentences_then_words():
    assert next(cut_text("aaaa bb. cc\ndd\n\nee ff", 18)) == "aaaa bb. cc\ndd\n\n"
    assert next(cut_text("aaaa bb. cc\ndd ee ff gg", 18)) == "aaaa bb. cc\n"
    assert next(cut_text("aaaaaaaa bb. cc dd ee ff", 18)) == "aaaaaaaa bb. "
    assert next(cut_text("aaaaaaaa bb cc dd ee ff", 13)) == "aaaaaaaa bb "
    assert next(cut_text("a" * 30, 18)) == "a" * 18
