"""VQAv2's accuracy of an answer, and its cleaning of words."""

import pytest

from chiasm.evaluation.agreement import cleaned, vqa_accuracy

TEN = ["yes"] * 4 + ["no"] * 3 + ["maybe"] * 2 + ["never"]


@pytest.mark.parametrize(("answer", "accuracy"), [("yes", 1), ("no", 0.9), ("maybe", 0.6)])
def test_an_answer_that_three_of_nine_gave_is_right(answer: str, accuracy: float) -> None:
    assert vqa_accuracy(answer, TEN) == pytest.approx(accuracy)
    assert vqa_accuracy("never", TEN) == pytest.approx(0.3)
    assert vqa_accuracy("green", TEN) == 0


def test_words_are_cleaned_where_people_differ_and_only_there() -> None:
    assert vqa_accuracy("A Yes.", TEN) == 1
    assert vqa_accuracy("yes\n", ["yes"] * 10) == 1
    assert vqa_accuracy("Yes", ["yes"] * 10) == 0  # as the benchmark's own script has it


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("The red cup", "red cup"),
        ("none", "0"),
        ("Ten", "10"),
        ("twelve", "twelve"),
        ("1,000", "1000"),
        ("red,white", "red white"),
        ("red, white", "red white"),
        ("U.S.", "us"),
        ("1.5", "1.5"),
        ("-5", "5"),
        ("a/b", "b"),
        ("a", ""),
        ("dont", "don't"),
        ("couldntve", "couldntve"),
        ("couldn'tve", "couldn't've"),
        ("shed've", "she'd've"),
        ("twas", "'twas"),
        ("well", "well"),
    ],
)
def test_cleaning(said: str, left: str) -> None:
    assert cleaned(said) == left
