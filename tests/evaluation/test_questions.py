from dataclasses import replace

import numpy as np
import pytest
import torch

from chiasm.data.reading import ReadingLog
from chiasm.documents import Document, Image, Sound, question_spans
from chiasm.evaluation.evaluate import evaluate
from chiasm.evaluation.material import Material
from chiasm.evaluation.questions import (
    AGREEMENT,
    Asked,
    Questions,
    _answers,
    _balanced,
    _blanks,
    _questions,
    asks,
    majorities,
)
from chiasm.evaluation.run import Run
from chiasm.evaluation.scoring import batches
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.training.objective import Objective
from chiasm.training.settings import ObjectiveSettings
from chiasm.waveform import Waveform


def asked(kind: str, number: int) -> Asked:
    return Asked(None, number, kind, *question_spans(f"{kind} {number}?", "x"))


def test_the_majority_answer_is_counted_for_each_kind():
    pairs = [("side", "left"), ("side", "left"), ("side", "right"), ("what", "a tree")]
    assert majorities(pairs) == {"side": "left", "what": "a tree"}


def test_kinds_are_asked_equally_often_and_a_rare_one_as_often_as_it_can():
    every = [asked("often", n) for n in range(50)] + [asked("rarely", n) for n in range(2)]
    chosen = _balanced(every, 20)
    kinds = [each.kind for each in chosen]
    assert (kinds.count("often"), kinds.count("rarely")) == (10, 2)
    assert len({each.prompt for each in chosen}) == 12


def test_nothing_asked_is_nothing_chosen():
    assert _balanced([], 20) == []


def test_the_worlds_questions_carry_kind_map_and_view(material):
    source = material.held_out["vqa"]
    found = list(_questions(source, 4, ReadingLog()))
    assert len({each.kind for each in found}) > 1
    for each in found:
        assert each.cluster in source.world.map_of_frame
        asked = each.prompt.text + each.answer.text
        assert any(asked in source[n].text for n in range(4))


def test_questions_of_a_source_without_a_world_are_read_from_its_documents(material):
    class Folder:
        """A source that is no world, as a user's own pictures with questions."""

        name = "folder"

        def __len__(self):
            return 4

        def __getitem__(self, number):
            return material.held_out["vqa"][number]

    own, of_world = (
        [(each.prompt, each.answer) for each in _questions(source, 4, ReadingLog())]
        for source in (Folder(), material.held_out["vqa"])
    )
    assert own == of_world


class Heard:
    """Two tones, each with a question."""

    name = "heard"

    def __len__(self):
        return 2

    def __getitem__(self, number):
        tone = Waveform(np.sin(np.arange(800) * (0.1 + number)), 8000)
        return Document((Sound(tone, target=False), *question_spans("how high?", str(number))))


def test_questions_about_sounds_are_asked_and_silence_is_their_blank():
    assert asks(Heard())
    found = list(_questions(Heard(), 2, ReadingLog()))
    assert {each.truth for each in found} == {"0", "1"}
    assert all(isinstance(each.item, Sound) for each in found)
    first, second = _blanks(None, found)
    assert first is second
    assert not first.samples(8000).any()


LONG = {
    "what is written here, after the word answer: in small?": "nothing, it is a wall of bricks",
    "what do you\nsee? say it\nin three lines": "a wall\na floor\n\nand a lamp that nobody lit",
    "how many?": "3",
    "and where?": "far away to the left, behind the second door, under the lamp (it is dim)",
}


class Album:
    """Pictures of one shade, each with a question of its own, or with two of them."""

    def __init__(self, *, together: bool, name: str = "album", asked=LONG) -> None:
        self.name, self._together, self._asked = name, together, list(asked.items())

    def __len__(self):
        return 2 if self._together else len(self._asked)

    def __getitem__(self, index):
        asked = [self._asked[index]]
        if self._together:
            asked = self._asked[2 * index : 2 * index + 2]
        shade = np.full((32, 32, 3), 60 * index, np.uint8)
        spans = [span for each in asked for span in question_spans(*each)]
        return Document((Image(shade, target=False), *spans))


@pytest.fixture(scope="module")
def knowing(pretrained):
    """A model that has learned the album by heart, questions alone and in pairs."""
    torch.manual_seed(0)
    decoder = Decoder(
        ModelSettings(width=64, depth=2, query_heads=2, key_value_heads=1),
        vocabulary=pretrained.text_tokenizer.vocabulary_size,
        streams=pretrained.tokenizers.streams,
        seed=0,
    )
    learner = replace(pretrained, decoder=decoder, context_positions=400)
    albums = [Album(together=together) for together in (False, True)]
    documents = [album[n] for album in albums for n in range(len(album))]
    # Each question is asked first in one document: so it is asked in the evaluation.
    swapped = [
        Document((document.spans[0], *document.spans[3:], *document.spans[1:3]))
        for document in documents[4:]
    ]
    [(_, batch)] = batches([*documents, *swapped], learner)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=1e-2)
    objective = Objective(ObjectiveSettings(**learner.flow.model_dump()))
    latents = learner.tokenizers.encode(batch.slots)
    for step in range(150):
        losses = objective.losses(decoder, batch, latents, step)
        optimizer.zero_grad()
        (losses.text.sum / losses.text.count).backward()
        optimizer.step()
    decoder.eval().requires_grad_(False)
    return learner


def answered(pretrained, source, settings, **changes):
    material = Material({"a": source}, {"a": source})
    settings = settings.model_copy(update={"answer_tokens": 256, **changes})
    return Questions().measure_source(Run(pretrained, material, settings), "a")


@pytest.mark.slow
def test_questions_that_recur_are_answered_as_each_one_alone(knowing, settings):
    source = Album(together=True)
    run = Run(knowing, Material({"a": source}, {"a": source}), settings)
    every = list(_questions(source, 2, ReadingLog()))
    blank = Image(np.full((32, 32, 3), 128, np.uint8), target=False)
    asked, images = [*every, *every[::-1]], [*[each.item for each in every], *[blank] * len(every)]
    alone = [_answers(run, [each], [image])[0] for each, image in zip(asked, images, strict=True)]
    assert _answers(run, asked, images) == alone
    assert _answers(run, asked * 2, images * 2) == alone * 2
    assert len(set(alone)) > 2


@pytest.mark.slow
@pytest.mark.parametrize("together", [False, True])
def test_answers_are_as_long_as_the_truth_and_have_all_their_lines(knowing, settings, together):
    found = answered(knowing, Album(together=together), settings)
    said = {dict(s.lines)["truth"]: dict(s.lines)["model"] for s in found.samples}
    assert said == {truth: truth for truth in LONG.values()}
    assert {row.value for row in found.rows} == {1.0}
    assert {row.num_items for row in found.rows} == {4}


def test_answers_that_a_bound_cuts_are_told_and_count_as_wrong(knowing, settings):
    found = answered(knowing, Album(together=False), settings, answer_tokens=4)
    values = {row.name: row.value for row in found.rows}
    assert values["questions answered right, all kinds"] == 0.25
    [beyond] = [value for name, value in values.items() if "cannot be given" in name]
    assert beyond == 0.75


def test_questions_longer_than_the_context_are_told(knowing, settings):
    short = replace(knowing, context_positions=40)
    found = answered(short, Album(together=False), settings)
    [(what, why)] = found.skipped.items()
    assert what == "questions, 1 of 4"
    assert "40 positions" in why
    assert {row.num_items for row in found.rows} == {3}


def test_rows_of_two_sources_of_questions_name_them(pretrained, settings):
    one, two = Album(together=False, name="one"), Album(together=True, name="two")
    both = {"one": one, "two": two}
    rows = evaluate(pretrained, Material(both, both), settings).rows
    names = [row.name for row in rows if row.section == "questions" and row.headline]
    assert set(names) == {
        "questions answered right, all kinds, one",
        "questions answered right, all kinds, two",
    }
    pairs = [(row.section, row.name, row.baseline_name) for row in rows]
    assert len(pairs) == len(set(pairs))


class Crowd(Album):
    """The album's questions, each answered by so many people: all gave its answer but two."""

    people = 5

    def answers(self, index):
        [answer] = [answer for _, answer in self._asked[index : index + 1]]
        return [[answer] * (self.people - 2) + ["no idea", "nothing"]]


class Few(Crowd):
    people = 3


@pytest.mark.slow
def test_where_people_answered_vqav2s_accuracy_stands_beside_exact_answers(knowing, settings):
    rows = {row.name: row for row in answered(knowing, Crowd(together=False), settings).rows}
    assert rows["questions answered right, all kinds"].value == 1
    # Three of five agree: two are left where one of them is left out, three where another is.
    assert rows[AGREEMENT].value == pytest.approx((3 * 2 / 3 + 2 * 1) / 5)
    assert rows[AGREEMENT].num_items == 4
    few = answered(knowing, Few(together=False), settings).rows
    assert AGREEMENT not in {row.name for row in few}
