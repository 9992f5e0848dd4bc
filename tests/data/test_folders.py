import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.data.folders import ImageTextSource, QuestionSource, TextSource, cut_text
from chiasm.documents import Document, Image, Text


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


def test_texts_are_cut_and_blank_ones_dropped():
    table = datasets.Dataset.from_dict(
        {"body": ["one two three four five six", None, "  \n", "short"], "other": [1, 2, 3, 4]}
    )
    source = TextSource("books", table, "body", characters=14)
    texts = [source[index].text for index in range(len(source))]
    assert "".join(texts) == "one two three four five sixshort"
    assert texts[-1] == "short"
    assert max(map(len, texts)) <= 14


def test_pairs_are_captions_and_pictures_in_turn(tmp_path):
    table = datasets.Dataset.from_dict({"image": ["a.png", "b.png"], "caption": [" A cat. ", "B"]})
    source = ImageTextSource("pairs", table, "image", "caption", tmp_path)
    assert [source[index] for index in range(len(source))] == [
        Document((Image(tmp_path / "a.png", target=False), Text("caption: A cat."))),
        Document((Text("picture: A cat."), Image(tmp_path / "a.png", target=True))),
        Document((Image(tmp_path / "b.png", target=False), Text("caption: B"))),
        Document((Text("picture: B"), Image(tmp_path / "b.png", target=True))),
    ]


def test_pictures_may_be_bytes(made, tmp_path):
    data = made.picture_file(3)
    table = datasets.Dataset.from_dict({"image": [data], "text": ["x"]})
    source = ImageTextSource("pairs", table, "image", "text", tmp_path)
    assert next(source[0].images).data == data
    embedded = datasets.Dataset.from_dict({"image": [{"bytes": data, "path": None}], "text": ["x"]})
    source = ImageTextSource("pairs", embedded, "image", "text", tmp_path)
    assert next(source[0].images).data == data


def test_labels_speak_their_names(tmp_path):
    features = datasets.Features(
        {"image": datasets.Value("string"), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    table = datasets.Dataset.from_dict({"image": ["a", "b"], "label": [1, 0]}, features=features)
    source = ImageTextSource("pets", table, "image", "label", tmp_path)
    assert [source[k].text for k in (0, 2)] == ["caption: dog", "caption: cat"]


def test_questions_end_with_a_line(tmp_path):
    table = datasets.Dataset.from_dict(
        {"image": ["a.png"], "question": ["how many? "], "answer": [3], "extra": [0]}
    )
    source = QuestionSource("vqa", table, "image", "question", "answer", tmp_path)
    assert source[0].spans == (
        Image(tmp_path / "a.png", target=False),
        Text("question: how many? answer:"),
        Text(" 3\n"),
    )


@pytest.mark.parametrize("missing", [{"image": None}, {"question": " "}, {"answer": None}])
def test_rows_with_something_missing_are_empty_documents(missing, tmp_path):
    row = {"image": "a.png", "question": "q?", "answer": "a", **missing}
    features = datasets.Features({name: datasets.Value("string") for name in row})
    table = datasets.Dataset.from_list([row], features=features)
    source = QuestionSource("vqa", table, "image", "question", "answer", tmp_path)
    assert source[0] == Document(())


def test_held_out_draws_belong_to_the_picture_and_not_to_its_name(made, tmp_path):
    for name in ("a", "copy_of_a"):
        (tmp_path / name).write_bytes(made.picture_file(1, (80, 80)))
    (tmp_path / "b").write_bytes(made.picture_file(2, (80, 80)))
    names = ["a", "b", "copy_of_a", "a", "missing"]
    table = datasets.Dataset.from_dict({"image": names, "text": list("uvwxy")})
    draws = ImageTextSource("pairs", table, "image", "text", tmp_path).held_out_draw().tolist()
    assert len(draws) == 10
    a, b, copy, again, missing = draws[::2]
    assert draws[1::2] == draws[::2]  # caption and picture of a row stay together
    assert a == copy == again
    assert len({a, b, missing}) == 3
    assert all(0 <= draw < 1 for draw in draws)
