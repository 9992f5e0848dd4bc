"""VQAv2's accuracy: how far an answer agrees with those that several people gave.

Of ten people any nine are asked in turn, and an answer that three of them gave is right:
accuracy = mean over the people left out of min(matches among the others / 3, 1). Written after the
benchmark's own script (GT-Vision-Lab/VQA at a013f00), whose cleaning of words is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

AGREEING = 3
"""People whose answer is right."""

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_NUMBER_WITH_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_ARTICLES = {"a", "an", "the"}
_COUNTED = "zero one two three four five six seven eight nine ten"
_NUMBERS = {word: str(number) for number, word in enumerate(_COUNTED.split())} | {"none": "0"}

_SHORT = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
    haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've
    might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
    shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
    someone's something'd something'd've something'll that's there'd there'd've there're there's
    they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're
    what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're
    why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're
    you've
"""


def vqa_accuracy(answer: str, people: Sequence[str]) -> float:
    """Returns the accuracy of an answer, from 0 to 1, by the answers of at least two people.

    Where all people said the same, words are compared as they are written, as the script does.
    """
    said, given = [_one_line(each) for each in people], _one_line(answer)
    if len(set(said)) > 1:
        said, given = [cleaned(each) for each in said], cleaned(given)
    matches = sum(each == given for each in said)
    of_nine = [min((matches - (each == given)) / AGREEING, 1) for each in said]
    return sum(of_nine) / len(of_nine)


def cleaned(answer: str) -> str:
    """Returns an answer without marks and articles, numbers to ten as digits, don't for dont."""
    text = answer
    everywhere = _NUMBER_WITH_COMMA.search(answer) is not None
    for mark in _PUNCTUATION:
        apart = f"{mark} " in answer or f" {mark}" in answer
        text = text.replace(mark, "" if apart or everywhere else " ")
    words = _PERIOD.sub("", text).lower().split()
    words = [_NUMBERS.get(word, word) for word in words]
    return " ".join(_WHOLE.get(word, word) for word in words if word not in _ARTICLES)


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def _without_one(word: str) -> list[str]:
    """Returns the forms of a word that lack one of its apostrophes."""
    places = [at for at, letter in enumerate(word) if letter == "'"]
    return [word[:at] + word[at + 1 :] for at in places]


_WHOLE = {short: word for word in _SHORT.split() for short in _without_one(word)}
_WHOLE["somebody'd"] = "somebodyd"
"""A short form that lacks an apostrophe → the whole one; and one entry the other way round."""
