"""The tasks ask in the words of training and hand back what was asked for."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.data.encoding import DocumentEncoder
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Image, Text, question_prompt, question_spans
from chiasm.inference.passage import prompt_passage
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Ended, Ending, Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.tasks import answer, caption, draw, next_view
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.vision.pixels import pixel_tokenizer

QUICK = SamplingSettings(steps=2, max_tokens=6)


@pytest.fixture
def sampler(pretrained: Pretrained) -> Sampler:
    return Sampler(pretrained)


WORDS = st.text(st.characters(exclude_categories=["Cs"])).map(str.strip).filter(bool)


@given(question=WORDS, answered=WORDS)
def test_what_is_asked_has_the_tokens_of_training(question: str, answered: str) -> None:
    tokenizer = small_tokenizer()
    reader = StreamTokenizers({"image": pixel_tokenizer(image_pixels=8, patch_pixels=4)})
    picture = Image(np.zeros((8, 8, 3), np.uint8), target=False)
    document = Document((picture, *question_spans(question, answered)))
    assert document.text == f"question: {question} answer: {answered}\n"
    [trained] = DocumentEncoder(tokenizer, reader, 1 << 20)(document)
    asked = prompt_passage((picture, Text(question_prompt(question))), tokenizer, reader)
    assert trained.ids[: len(asked)].tolist() == asked.ids


@lru_cache
def small_tokenizer() -> TextTokenizer:
    return TextTokenizer.train(["question: how many? answer: 3 of them\n", "answer: a: b"], 300)


def test_an_answer_goes_on_over_lines_and_ends_with_its_document(
    build: Callable[..., Pretrained],
    prefer: Callable[[Pretrained, int, float], None],
    picture: Image,
) -> None:
    pretrained = build()
    [line_end] = pretrained.text_tokenizer.encode("\n")
    prefer(pretrained, line_end, 50.0)
    request = Request((picture, Text("question: how many? answer:")))
    limits = QUICK.model_copy(update={"max_items": 0, "stop": ("\nquestion: ",)})
    *_, last = Sampler(pretrained).stream([request], limits)
    assert last == Ended(0, Ending.MAX_TOKENS), "a line break ends nothing"
    assert answer(Sampler(pretrained), [picture], ["how many?"], settings=QUICK) == [""]
    prefer(pretrained, pretrained.text_tokenizer.eod_id, 50.0)
    assert answer(Sampler(pretrained), [picture], ["how many?"], settings=QUICK) == [""]


def test_words_of_training(sampler: Sampler, picture: Image) -> None:
    settings = QUICK.model_copy(update={"max_items": 0})
    [spans] = sampler.generate(
        [Request((picture, Text("question: how many? answer:")), seed=5)], settings
    )
    words = "".join(span.text for span in spans).strip()
    assert answer(sampler, [picture], ["how many?"], settings=QUICK, seed=5) == [words]
    [spans] = sampler.generate([Request((picture, Text("caption:")), seed=5)], settings)
    words = "".join(span.text for span in spans).strip()
    assert caption(sampler, [picture], settings=QUICK, seed=5) == [words]


def test_pictures_of_captions_and_views(
    sampler: Sampler, make_image: Callable[[int], Image]
) -> None:
    pictures = draw(sampler, ["a wall", "grass", "grass"], settings=QUICK)
    assert [picture.shape for picture in pictures] == [(8, 8, 3)] * 3
    assert all(picture.dtype == np.uint8 for picture in pictures)
    assert (pictures[1] != pictures[2]).any()  # another item, another seed

    views = [[make_image(0)], [make_image(0), make_image(1)]]
    step = "action: dx=+0.34 dy=-0.02 dyaw=+12"
    assert len(next_view(sampler, views, [[step], [step, step]], settings=QUICK)) == 2
    with pytest.raises(ValueError, match="zip"):
        next_view(sampler, views, [[step], [step]], settings=QUICK)


def test_what_was_seen_and_done_decides_the_next_view(
    sampler: Sampler, make_image: Callable[[int], Image]
) -> None:
    def view(seed: int, action: str) -> np.ndarray:
        [pixels] = next_view(sampler, [[make_image(seed)]], [[action]], settings=QUICK)
        return pixels

    base = view(0, "action: dx=+1.00 dy=+0.00 dyaw=+0")
    assert (base != view(1, "action: dx=+1.00 dy=+0.00 dyaw=+0")).any()
    assert (base != view(0, "action: dx=-1.00 dy=+0.00 dyaw=+0")).any()
