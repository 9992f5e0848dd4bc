"""A harness's words for sampling, and its prompts."""

import numpy as np
import pytest

from chiasm.documents import Image, Text
from chiasm.errors import UserError
from chiasm.harness.requests import ending, prompt_spans, sampling_settings


def test_a_task_is_greedy_unless_it_samples() -> None:
    given = {"until": ["\n", ""], "max_gen_toks": 8, "temperature": 0.7, "top_k": 5}
    greedy = sampling_settings({**given, "do_sample": False}, 99, 4)
    assert (greedy.temperature, greedy.top_k) == (0, None)
    assert (greedy.stop, greedy.max_tokens, greedy.max_items) == (("\n",), 8, 0)
    sampled = sampling_settings({**given, "do_sample": True}, 99, batch_size=4)
    assert (sampled.temperature, sampled.top_k, sampled.batch_size) == (0.7, 5, 4)
    assert sampling_settings(given, 99, 4) == sampled
    bare = sampling_settings({"until": "q"}, 99, 4)
    assert (bare.temperature, bare.max_tokens, bare.stop) == (0, 99, ("q",))
    assert sampling_settings({"max_new_tokens": 3, "do_sample": True}, 99, 4).temperature == 1


def test_what_changes_nothing_is_taken_and_what_would_is_refused() -> None:
    assert sampling_settings({"top_p": 1.0, "num_beams": 1, "seed": None}, 9, 1).max_tokens == 9
    with pytest.raises(UserError, match=r"generation_kwargs.top_p = 0.9 .* leave it out"):
        sampling_settings({"top_p": 0.9}, 9, 1)
    with pytest.raises(UserError, match="temperature"):
        sampling_settings({"do_sample": True, "temperature": -1.0}, 9, 1)


@pytest.mark.parametrize("text", ["a view of the wall behind", "où est la 文字 façade ?" * 3, ""])
@pytest.mark.parametrize("most", [1, 4, 9, 200])
def test_an_ending_fits_and_ends_the_text(world_model, text: str, most: int) -> None:
    tokenizer = world_model.text_tokenizer
    cut = ending(text, tokenizer, most)
    assert text.endswith(cut)
    assert len(tokenizer.encode(cut)) <= most
    longer = text[len(text) - len(cut) - 1 :] if len(cut) < len(text) else text
    assert cut == text or len(tokenizer.encode(longer)) > most - 3


def test_pictures_stand_at_their_marks_or_first() -> None:
    first, second = (np.full((4, 4, 3), value, np.uint8) for value in (1, 2))
    spans = prompt_spans("<image>left <image>right", [first, second])
    assert [type(span) for span in spans] == [Image, Text, Image, Text]
    assert np.array_equal(spans[2].pixels(), second)
    assert not any(span.target for span in spans if isinstance(span, Image))
    spans = prompt_spans("what is it?", [first])
    assert [type(span) for span in spans] == [Image, Text]
    assert prompt_spans("a <image> of words", ()) == (Text("a <image> of words"),)
    with pytest.raises(UserError, match="1 of <image> and 2 pictures"):
        prompt_spans("<image>", [first, second])
