import os
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.data.folders import (
    ImageTextSource,
    PictureSource,
    QuestionSource,
    Selection,
)
from chiasm.data.kinds import QuestionSettings
from chiasm.data.media_files import MediaFiles
from chiasm.data.reading import Unusable
from chiasm.data.table import FileTable
from chiasm.data.texts import TextSource, cut_text
from chiasm.documents import Document, Image, Text
from chiasm.errors import UserError


class Rows(FileTable):
    """A table of given rows in a folder."""

    def __init__(self, folder, rows):
        super().__init__(folder / "table")
        self.rows = rows
        self.columns = tuple(dict.fromkeys(name for row in rows for name in row))

    def __len__(self):
        return len(self.rows)

    def row(self, number, *columns):
        return self.rows[number]


@pytest.fixture
def rows(tmp_path, made):
    """Tables of rows; pictures 0.png to 5.png lie in their folder."""
    made.files(tmp_path, {f"{k}.png": made.picture_file(k) for k in range(6)})
    return lambda *rows: Rows(tmp_path, rows)


def test_texts_are_cut_and_blank_ones_dropped(rows, made):
    table = rows(
        {"body": "one two three four five six"}, {"body": None}, {"body": "  \n"}, {},
        {"body": "short"}, {"body": ["a", "list"]}, {"body": "half \ud800 of a letter"},
    )  # fmt: skip
    source = TextSource("books", table, "body", characters=14)
    texts = [document.text for document in made.documents(source)]
    assert "".join(texts) == "one two three four five sixshorta\nlist"
    assert max(map(len, texts)) <= 14
    assert source.survey.skipped == {"no body": 3, "half of a letter (a surrogate)": 1}


@settings(deadline=None)
@given(st.lists(st.text("aé\U0001f600 .\n", max_size=60), min_size=1), st.integers(2, 20))
def test_documents_of_texts_are_their_parts(texts, characters):
    source = TextSource("t", Rows(Path("/x"), [{"t": text} for text in texts]), "t", characters)
    parts = [part for text in texts for part in cut_text(text, characters) if part.strip()]
    assert [source[number].text for number in range(len(source))] == parts


def test_pairs_are_captions_and_pictures_in_turn(rows, tmp_path, made):
    table = rows({"image": "0.png", "caption": " A cat. "}, {"image": "1.png", "caption": "B"})
    source = ImageTextSource("pairs", table, "image", "caption")
    assert made.documents(source) == [
        Document((Image(tmp_path / "0.png", target=False), Text("caption: A cat."))),
        Document((Text("picture: A cat."), Image(tmp_path / "0.png", target=True))),
        Document((Image(tmp_path / "1.png", target=False), Text("caption: B"))),
        Document((Text("picture: B"), Image(tmp_path / "1.png", target=True))),
    ]
    assert not source.varied


def test_pictures_may_be_bytes_and_stand_alone(rows, made, tmp_path):
    data = made.picture_file(3)
    cells = [data, {"bytes": data, "path": None}, [data], "3.png"]
    source = PictureSource("alone", rows(*({"image": cell} for cell in cells)), "image")
    found = [next(document.images) for document in made.documents(source)]
    assert [image.data for image in found] == [data] * 3 + [tmp_path / "3.png"]
    assert len(set(source.identities.tolist())) == 1


def test_paths_count_from_the_table_or_a_folder_above_it_below_the_root(made, tmp_path):
    made.files(
        tmp_path, {f"{name}.png": name for name in ("out", "mine/a", "mine/deep/a", "mine/b")}
    )
    cells = ["a.png", "b.png", "out.png", str(tmp_path / "out.png"), "../b.png", "x" * 300, "."]
    table = Rows(tmp_path / "mine" / "deep", [{"image": cell} for cell in cells])
    source = PictureSource("p", table, "image", files=MediaFiles(tmp_path / "mine"))
    good = [number for number, identity in enumerate(source.identities) if identity >= 0]
    found = [next(source[number].images).data.resolve() for number in good]
    names = ["mine/deep/a.png", "mine/b.png", "out.png", "mine/b.png"]
    assert found == [tmp_path / name for name in names]
    assert good == [0, 1, 3, 4]
    assert source.survey.skipped == {
        "picture file missing": 1,
        "picture file cannot be read (File name too long)": 1,
        "picture file cannot be read (Is a directory)": 1,
    }


def test_pipes_and_devices_are_no_files(tmp_path, made):
    """Opening the one would wait for a writer, reading the other never end."""
    os.mkfifo(tmp_path / "pipe.png")
    made.files(tmp_path, {"0.png": made.picture_file(0)})
    cells = ["0.png", "pipe.png", "/dev/zero"]
    table = Rows(tmp_path, [{"image": cell} for cell in cells])
    source = PictureSource("p", table, "image")
    assert (source.identities >= 0).tolist() == [True, False, False]
    assert source.survey.skipped == {"picture file is a pipe or a device": 2}
    by_name = PictureSource("p", table, "image", by_name=True)
    with pytest.raises(Unusable, match="is a pipe or a device"):
        by_name[1]


def test_questions_end_with_a_line(rows, tmp_path):
    table = rows({"image": "0.png", "question": "how many? ", "answer": "3", "extra": "0"})
    source = QuestionSource("vqa", table, "image", "question", "answer")
    assert source[0].spans == (
        Image(tmp_path / "0.png", target=False),
        Text("question: how many? answer:"),
        Text(" 3\n"),
    )


def test_templates_of_a_prompt_take_turns(rows):
    row = {"image": "0.png", "question": "how many?", "answer": "3"}
    columns, templates = ("image", "question", "answer"), ("question: {question}", "{question} =")
    source = QuestionSource("vqa", rows(row, row), *columns, templates=templates)
    assert source.varied
    told = [[source.variant(index, turn).spans[1] for turn in range(3)] for index in range(2)]
    forms = ["question: how many?", "how many? ="]
    assert [[text.text for text in own] for own in told] == [
        [*forms, forms[0]],
        [*forms[::-1], forms[1]],
    ]
    assert all(text.prompt for own in told for text in own)
    assert not source[0].spans[2].prompt


def test_a_template_without_a_question_is_refused():
    with pytest.raises(UserError, match=r"templates has 'answer:', .*write \{question\} in it"):
        QuestionSettings(path="mine", templates=("{question}", "answer:")).check()


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ({"image": None}, "no image"),
        ({"image": "gone.png"}, "picture file missing"),
        ({"question": " "}, "no question"),
        ({"answer": None}, "no answer"),
        ({"answer": []}, "no answer"),
        ({"of": " "}, "no of"),
    ],
)
def test_rows_with_something_missing_are_left_out_and_counted(missing, reason, rows):
    row = {"image": "0.png", "question": "q?", "answer": "a", "of": "x"}
    source = QuestionSource(
        "vqa", rows(row, row | missing, row), "image", "question", "answer", group_column="of"
    )
    assert source.survey.skipped == {reason: 1}
    assert (source.identities >= 0).tolist() == [True, False, True]


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(0, 9), st.integers(0, 70_000))
def test_captions_in_lists_take_turns(number, index, first):
    captions = [f"caption {k}" for k in range(number)]
    rows = [{"image": b"picture", "text": [*captions, None, "  "]}] * 5
    source = ImageTextSource("pairs", Rows(Path("/x"), rows), "image", "text")
    said = [source.variant(index, first + turn).text.split(": ")[1] for turn in range(2 * number)]
    assert Counter(said) == Counter(captions * 2)
    assert all(one != two for one, two in pairwise(said)) or number == 1
    assert source.varied == (number > 1)
    assert source[index] == source.variant(index, 0)


def test_answers_in_lists_take_turns_and_the_first_is_the_one_to_score():
    table = Rows(Path("/x"), [{"i": b"p", "q": ["what?", "which?"], "a": ["red", "rot", "rouge"]}])
    source = QuestionSource("vqa", table, "i", "q", "a")
    assert source[0].text == "question: what? answer: red\n"
    said = {source.variant(0, turn).text for turn in range(6)}
    assert len(said) == 6
    assert Selection(source, np.array([0])).varied
    assert source.answers(0) == (("red", "rot", "rouge"),)
    assert Selection(source, np.array([0])).answers(0) == source.answers(0)


@pytest.mark.parametrize("source", [ImageTextSource, TextSource, QuestionSource])
def test_dictionaries_take_their_rows_and_their_column_is_named(source):
    good = {"i": b"p", "t": "a", "q": "b"}
    table = Rows(Path("/x"), [good, {"i": b"p", "t": {"raw": "a"}, "q": {"raw": "b"}}])
    columns = {ImageTextSource: ("i", "t"), TextSource: ("t", 9), QuestionSource: ("i", "q", "t")}
    found = source("mine", table, *columns[source]).survey
    [(reason, count)] = found.skipped.items()
    assert (reason, count) in [("a dictionary in t", 1), ("a dictionary in q", 1)]
    column = reason[-1]
    assert found.unusable[0].startswith(
        f"{reason}: column '{column}' holds dictionaries (of raw); name one of its"
    )
    inside = [f"{name}.raw" if name in ("t", "q") else name for name in columns[source]]
    [(reason, count)] = source("mine", table, *inside).survey.skipped.items()
    assert (reason, count) in [("no t.raw", 1), ("no q.raw", 1)]  # which the first row lacks


def test_identities_belong_to_the_picture_and_not_to_its_name(rows, made, tmp_path):
    made.files(tmp_path, {"copy.png": made.picture_file(0)})
    names = ["0.png", "1.png", "copy.png", "0.png", str(tmp_path / "0.png"), "gone.png"]
    table = rows(*({"image": name, "text": f"{k}"} for k, name in enumerate(names)))
    identities = ImageTextSource("pairs", table, "image", "text").identities.tolist()
    assert identities[1::2] == identities[::2]  # caption and picture of a row stay together
    zero, one, *others, gone = identities[::2]
    assert others == [zero] * 3
    assert len({zero, one, gone}) == 3
    assert gone == -1


def test_what_is_in_one_group_has_one_identity(rows):
    cells = [{"image": f"{k}.png", "text": f"text {k}", "of": [k % 2, "x"]} for k in range(6)]
    cells = [row | {"of": list(map(str, row["of"]))} for row in cells]
    for source in (
        ImageTextSource("p", rows(*cells), "image", "text", group_column="of"),
        PictureSource("p", rows(*cells), "image", group_column="of"),
        TextSource("p", rows(*cells), "text", 4, group_column="of"),
        QuestionSource("p", rows(*cells), "image", "text", "text", group_column="of"),
    ):
        identities = source.identities
        each = len(identities) // 6
        even, odd = identities[:each], identities[each : 2 * each]
        assert len(set(even.tolist())) == len(set(odd.tolist())) == 1
        assert identities.tolist() == [*even, *odd] * 3
        chosen = Selection(source, np.arange(each, 3 * each))
        assert [chosen.cluster_of(k) for k in range(len(chosen))] == [*odd, *even]


def test_a_selection_is_some_documents_in_order(rows):
    cells = [{"image": f"{k}.png", "text": [f"{k}", f"also {k}"]} for k in range(6)]
    source = ImageTextSource("pairs", rows(*cells), "image", "text")
    chosen = Selection(source, np.array([1, 4, 5]))
    assert [chosen[k] for k in range(3)] == [source[1], source[4], source[5]]
    assert chosen.variant(1, 7) == source.variant(4, 7)
    assert chosen.cluster_of(1) == chosen.cluster_of(2) != chosen.cluster_of(0)
