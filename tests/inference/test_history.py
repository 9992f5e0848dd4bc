"""Reading in pieces equals reading at once, whatever group reads."""

from collections.abc import Callable

import pytest
import torch

from chiasm.inference.history import History, lay_out
from chiasm.inference.passage import Passage
from chiasm.inference.pretrained import Pretrained

Compose = Callable[[Pretrained, list[int]], Passage]


@pytest.fixture(params=["dense", "modality", "moe", "separate"])
def any_model(build: Callable[..., Pretrained], request: pytest.FixtureRequest) -> Pretrained:
    """Three modalities, with weights of each in several ways."""
    changes: dict[str, object] = {"experts": request.param}
    if request.param == "separate":
        changes = {"attention_weights": "modality"}
    if request.param == "moe":
        changes["moe"] = {"num_experts": 8, "shared_experts": "modality"}
    return build(series=True, **changes)


def tokens_of(pretrained: Pretrained, stream: str) -> list[int]:
    marks = pretrained.text_tokenizer.marks[stream]
    fill = [marks.fill] * pretrained.decoder.shapes[stream].num_tokens
    return [marks.begin, *fill, marks.end]


def latents_of(pretrained: Pretrained, rows: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """[rows, P, C] of each stream."""
    generator = torch.Generator().manual_seed(seed)
    return {
        shape.name: torch.randn(rows, shape.num_tokens, shape.channels, generator=generator)
        for shape in pretrained.decoder.shapes
    }


def at_once(
    pretrained: Pretrained, whole: Passage, latents: dict[str, torch.Tensor]
) -> torch.Tensor:
    """Hidden vector of the last position, without a cache."""
    reading = lay_out(pretrained.decoder, [whole], latents, 1.0, [0], cache=None)
    return pretrained.decoder(reading.inputs, reading.mask)[0, -1]


def test_pieces_of_different_lengths_in_changing_groups(
    any_model: Pretrained, compose: Compose
) -> None:
    pretrained, text = any_model, any_model.text_tokenizer
    image, series = (tokens_of(pretrained, name) for name in ("image", "series"))
    begins = [[text.bod_id, 20 + row, *range(30, 30 + row)] for row in range(4)]
    documents = [[*begin, *image, 40, *series, 41] for begin in begins]
    latents = latents_of(pretrained, 4)

    history = History(pretrained.decoder, 4, capacity=24)
    first = [compose(pretrained, ids) for ids in begins]
    last = dict(enumerate(history.read(range(4), first)))

    def read(members: list[int], ids: list[int], *streams: str) -> None:
        group = history.gather(members)
        given = {name: torch.cat([latents[name][member] for member in group]) for name in streams}
        hidden = history.read(group, [compose(pretrained, ids)] * len(group), given)
        last.update(zip(group, hidden, strict=True))

    read([3, 1], image, "image")
    read([1], [40])
    read([2, 0], [*image, 40, *series], "image", "series")
    read([3], [40, *series], "series")
    read([1], series, "series")
    read([3, 0, 1, 2], [41])

    for member, ids in enumerate(documents):
        assert history.held(member) == len(ids)
        own = {name: z_NPC[member] for name, z_NPC in latents.items()}
        expected = at_once(pretrained, compose(pretrained, ids), own)
        torch.testing.assert_close(last[member], expected, atol=1e-4, rtol=1e-4)


def test_members_that_read_different_streams_side_by_side(
    any_model: Pretrained, compose: Compose
) -> None:
    """One pass over an image, a series, both and neither."""
    pretrained, text = any_model, any_model.text_tokenizer
    image, series = (tokens_of(pretrained, name) for name in ("image", "series"))
    tails = [image, series, [*series, 40, *image], [41]]
    latents = latents_of(pretrained, 4)
    history = History(pretrained.decoder, 4, capacity=24)
    begin = [text.bod_id, 30]
    history.read(range(4), [compose(pretrained, begin)] * 4)
    given = {
        "image": torch.cat([latents["image"][n] for n in (0, 2)]),
        "series": torch.cat([latents["series"][n] for n in (1, 2)]),
    }
    hidden = history.read(range(4), [compose(pretrained, tail) for tail in tails], given)
    for member, tail in enumerate(tails):
        whole = compose(pretrained, [*begin, *tail])
        own = {item.stream: latents[item.stream][member] for item in whole.items}
        expected = at_once(pretrained, whole, own)
        torch.testing.assert_close(hidden[member], expected, atol=1e-4, rtol=1e-4)


def test_copies_have_read_what_their_source_has(with_series: Pretrained, compose: Compose) -> None:
    text = with_series.text_tokenizer
    ids = [text.bod_id, *tokens_of(with_series, "series"), 40]
    latents = {"series": latents_of(with_series, 1)["series"][0]}
    history = History(with_series.decoder, 3, capacity=12)
    history.read([0], [compose(with_series, ids)], latents)
    history.copy(0, [1, 2])
    assert [history.held(member) for member in range(3)] == [len(ids)] * 3
    hidden = history.read([0, 1, 2], [Passage([41])] * 3)
    expected = at_once(with_series, compose(with_series, [*ids, 41]), latents)
    for row in hidden:
        torch.testing.assert_close(row, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("stream", ["image", "series"])
def test_what_is_laid_out_but_not_read_leaves_no_trace(
    with_series: Pretrained, compose: Compose, stream: str
) -> None:
    text, own = with_series.text_tokenizer, tokens_of(with_series, stream)
    histories = [History(with_series.decoder, 1, capacity=12) for _ in range(2)]
    for history in histories:
        history.read([0], [Passage([text.bod_id, 30, own[0]])])
    noise, latents = ({stream: latents_of(with_series, 1, n)[stream][0]} for n in (1, 2))
    noisy = histories[1].lay_out([0], [compose(with_series, own[1:-1])], noise, 0.0)
    with_series.decoder(noisy.inputs, noisy.mask, noisy.cache)
    closed = compose(with_series, own[1:])
    first, second = (history.read([0], [closed], latents) for history in histories)
    assert torch.equal(first, second)
