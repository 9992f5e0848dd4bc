"""Packed log-likelihoods against one token at a time, and against our own scoring of texts."""

import numpy as np
import pytest
import torch

from chiasm.documents import Document, Text
from chiasm.evaluation.scoring import score_text
from chiasm.harness.likelihoods import Continuation, Likelihood, likelihoods
from chiasm.inference.history import History
from chiasm.inference.passage import Passage
from chiasm.inference.pretrained import Pretrained


@torch.inference_mode()
def alone(pretrained: Pretrained, asked: Continuation) -> Likelihood:
    """Reads token after token behind a cache: no packing, no batch."""
    decoder, bod = pretrained.decoder, pretrained.text_tokenizer.bod_id
    history = History(decoder, 1, pretrained.context_positions + 1)
    last_1D = history.read([0], [Passage([bod, *asked.context])], {}, 1.0)
    total, greedy = 0.0, True
    for token in asked.tokens:
        log_V = decoder.text_logits(last_1D)[0].float().log_softmax(0)
        total += float(log_V[token])
        greedy &= int(log_V.argmax()) == token
        last_1D = history.read([0], [Passage([token])], {}, 1.0)
    return Likelihood(total, greedy)


def scored(pretrained: Pretrained, asked: list[Continuation], rows: int) -> list[Likelihood]:
    found = dict(likelihoods(asked, pretrained, rows))
    assert sorted(found) == list(range(len(asked)))
    return [found[number] for number in range(len(asked))]


def random_continuations(pretrained: Pretrained, count: int) -> list[Continuation]:
    """Of all lengths up to the context, some with nothing before them."""
    random = np.random.default_rng(0)
    longest = pretrained.context_positions
    asked = []
    for number in range(count):
        size = int(random.integers(1, longest + 1)) if number else longest
        ids = random.integers(0, 256, size).tolist()
        behind = int(random.integers(1, size + 1))
        asked.append(Continuation(tuple(ids[: size - behind]), tuple(ids[size - behind :])))
    return asked


@pytest.mark.parametrize("rows", [1, 3])
def test_each_is_scored_as_if_it_stood_alone(short_model: Pretrained, rows: int) -> None:
    asked = random_continuations(short_model, 12)
    for own, found in zip(asked, scored(short_model, asked, rows), strict=True):
        expected = alone(short_model, own)
        assert found.log_probability == pytest.approx(expected.log_probability, abs=1e-4)
        assert found.greedy == expected.greedy


def test_the_most_probable_tokens_are_greedy(short_model: Pretrained) -> None:
    context, tokens = (70, 71, 72), ()
    with torch.inference_mode():
        for _ in range(3):
            history = History(short_model.decoder, 1, 64)
            bod = short_model.text_tokenizer.bod_id
            last_1D = history.read([0], [Passage([bod, *context, *tokens])], {}, 1.0)
            tokens = (*tokens, int(short_model.decoder.text_logits(last_1D)[0].argmax()))
    other = (*tokens[:2], (tokens[2] + 1) % 256)
    right, wrong = scored(short_model, [Continuation(context, t) for t in (tokens, other)], 2)
    assert right.greedy
    assert not wrong.greedy
    assert right.log_probability > wrong.log_probability


def test_choices_of_one_token_are_read_once(short_model: Pretrained) -> None:
    context = tuple(range(65, 65 + 40))
    asked = [Continuation(context, (token,)) for token in range(97, 117)]
    passes = []
    hook = short_model.decoder.register_forward_hook(lambda *call: passes.append(call))
    found = scored(short_model, asked, rows=1)
    hook.remove()
    assert len(passes) == 1
    expected = [alone(short_model, each).log_probability for each in asked]
    assert [each.log_probability for each in found] == pytest.approx(expected, abs=1e-4)


def test_a_whole_text_is_as_our_own_scoring_has_it_without_its_end(world_model: Pretrained) -> None:
    texts = ["action: dx=+1.00", "view of a wall", "x"]
    own = score_text([Document((Text(text),)) for text in texts], world_model, seed=0)
    ids = [world_model.text_tokenizer.encode(text) for text in texts]
    found = scored(world_model, [Continuation((), tuple(each)) for each in ids], rows=4)
    expected = -(own.nats - own.marks_nats)
    assert [each.log_probability for each in found] == pytest.approx(expected, abs=1e-4)
