from chiasm.data.reading import ReadingLog
from chiasm.documents import question_spans
from chiasm.evaluation.questions import Asked, _balanced, _questions, majorities


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
