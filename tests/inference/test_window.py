"""The sliding window of a document, against short references without a cache."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from torch import Tensor

from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.flow import velocity
from chiasm.inference.choice import item_noise
from chiasm.inference.history import History, lay_out
from chiasm.inference.passage import Passage, PlacedItem
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Generated, Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.solvers import denoise, time_grid
from chiasm.inference.window import Window
from chiasm.model.mask import IntervalMask, _attend

DRAW = SamplingSettings(steps=3, guidance=1.0, max_items=5, max_tokens=0)
SCRIPT = ("one", "two two", "three", "four four four", "five")


def items_at(*starts: int) -> Passage:
    return Passage(range(100), tuple(PlacedItem("image", start, (2, 2)) for start in starts))


def test_the_oldest_items_leave_with_their_texts() -> None:
    window = Window(3, items_at(2, 12))  # marks at 1 and 11
    assert window.make_room(held=20, text=5, item=6, context=1000) == 0
    # Now three: the first, of ten positions with its text, leaves for a fourth.
    assert window.make_room(held=31, text=4, item=6, context=1000) == 10
    # Its place was taken by those at 11 and 25; the second is at 1 now, the third at 15.
    assert window.make_room(held=31, text=4, item=6, context=1000) == 14


def test_items_leave_also_where_the_context_is_full_but_the_last_one_stays() -> None:
    window = Window(9, items_at(2, 12, 22))
    assert window.make_room(held=30, text=4, item=6, context=40) == 0
    assert window.make_room(held=40, text=4, item=6, context=40) == 10
    assert window.make_room(held=40, text=4, item=6, context=8) == 33


def test_without_a_window_nothing_leaves() -> None:
    assert Window(None, items_at()).make_room(held=90, text=4, item=6, context=10) == 0


@dataclass(frozen=True)
class Dense(IntervalMask):
    """Sees what a matrix says, by the plain kernel."""

    visible_BTS: Tensor | None = None

    @property
    def attend(self) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        hidden_B1TS = torch.zeros(self.visible_BTS.shape).masked_fill(~self.visible_BTS, -torch.inf)
        return partial(_attend, hidden_B1TS.unsqueeze(1))

    def head_rows(self, *_: object) -> None:
        return None


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_what_stays_is_what_a_whole_pass_makes_of_it(
    build: Callable[..., Pretrained], compose: Callable[..., Passage], depth: int
) -> None:
    """One pass over all that was ever read, in which the last part does not see the first."""
    pretrained = build(depth=depth, experts="dense")
    text, decoder = pretrained.text_tokenizer, pretrained.decoder
    marks, tokens = text.marks["image"], decoder.shapes["image"].num_tokens
    view = [marks.begin, *[marks.fill] * tokens, marks.end]
    parts = [[*view, 20, 21], [*view, 22], [*view, 23, *view]]
    generator = torch.Generator().manual_seed(0)
    z_NPC = torch.randn(4, tokens, decoder.shapes["image"].channels, generator=generator)
    latents = [z_NPC[:1], z_NPC[1:2], z_NPC[2:]]

    history = History(decoder, 2, capacity=40)
    history.read([0, 1], [Passage([text.bod_id])] * 2)
    for part, own in zip(parts[:2], latents, strict=False):
        both = {"image": torch.cat([own, own]).flatten(0, 1)}
        history.read([0, 1], [compose(pretrained, part)] * 2, both)
    history.forget({1: len(parts[0])}, Passage([text.bod_id]))
    assert [history.held(n) for n in (0, 1)] == [1 + 8 + 7, 1 + 7]
    assert history.position(0) == history.position(1) == 16
    both = {"image": torch.cat([latents[2], latents[2]]).flatten(0, 1)}
    hidden_BD = history.read([0, 1], [compose(pretrained, parts[2])] * 2, both)

    # <bod>, the first part, the second, <bod> again where the first part ended, the third.
    second = 1 + len(parts[0])
    again = second + len(parts[1])
    whole = compose(pretrained, [text.bod_id, *parts[0], *parts[1], text.bod_id, *parts[2]])
    reading = lay_out(decoder, [whole], {"image": z_NPC.flatten(0, 1)}, 1.0, [0], None)
    position_BT = torch.tensor([[*range(again), second - 1, *range(again, again + len(parts[2]))]])
    key_S = torch.arange(len(whole))
    visible_TS = key_S <= reading.mask.last_BT[0].unsqueeze(1)
    visible_TS[:again, again:] = False
    visible_TS[again] = key_S == again
    visible_TS[again + 1 :, :second] = False
    mask = Dense(*(reading.mask.first_BT, reading.mask.last_BT, len(whole)))
    mask = replace(mask, visible_BTS=visible_TS.unsqueeze(0))
    expected_D = decoder(replace(reading.inputs, position_BT=position_BT), mask)[0, -1]
    torch.testing.assert_close(hidden_BD[1], expected_D, atol=1e-4, rtol=1e-4)
    assert (hidden_BD[0] - hidden_BD[1]).abs().max() > 1e-2  # it matters what was forgotten


def test_copies_forget_what_their_source_forgot(
    pretrained: Pretrained, compose: Callable[..., Passage]
) -> None:
    bod = Passage([pretrained.text_tokenizer.bod_id])
    history = History(pretrained.decoder, 2, capacity=10)
    history.read([0], [compose(pretrained, [*bod.ids, 20, 21, 22])])
    history.forget({0: 2}, bod)
    history.copy(0, [1])
    assert (history.held(1), history.position(1)) == (2, 4)
    first, second = history.read([0, 1], [Passage([23])] * 2)
    torch.testing.assert_close(first, second)


def read_anew(
    pretrained: Pretrained, seen: list[Tensor], texts: tuple[str, ...], noise_PC: Tensor
) -> Tensor:
    """The latents [P, C] of the view behind views and texts, from one document without a cache."""
    decoder, tokenizer = pretrained.decoder, pretrained.text_tokenizer
    marks, shape = tokenizer.marks["image"], decoder.shapes["image"]
    ids, items = [tokenizer.bod_id], []
    for text in (*texts, None):
        items.append(PlacedItem("image", len(ids) + 1, shape.grid))
        ids += [marks.begin, *[marks.fill] * shape.num_tokens]
        ids += [] if text is None else [marks.end, *tokenizer.encode(text)]
    time_L = torch.ones(len(items) * shape.num_tokens)

    def predict(z_PC: Tensor, time: float) -> Tensor:
        time_L[-shape.num_tokens :] = time
        latents, times = {"image": torch.cat([*seen, z_PC])}, {"image": time_L}
        reading = lay_out(decoder, [Passage(ids, tuple(items))], latents, times, [0], None)
        x_PD = decoder(reading.inputs, reading.mask)[0, -shape.num_tokens :]
        output_PC = decoder.latent_output("image", x_PD).float()
        return velocity(output_PC, z_PC, torch.tensor([time]), pretrained.flow.prediction)

    return denoise(predict, noise_PC, time_grid(DRAW.steps, pretrained.shift(shape)))


@pytest.mark.parametrize(("depth", "is_exact"), [(1, True), (2, False)])
def test_in_one_layer_a_window_that_stays_is_one_that_is_read_anew(
    build: Callable[..., Pretrained], picture: Image, depth: int, *, is_exact: bool
) -> None:
    """With more layers it is not: views that stay have seen those that left."""
    pretrained = build(depth=depth)
    sampler, shape = Sampler(pretrained), pretrained.decoder.shapes["image"]
    request = Request((picture,), seed=3, script=SCRIPT, window=3)
    views = [event for event in sampler.stream([request], DRAW) if isinstance(event, Generated)]
    seen = [pretrained.tokenizers.encode_spans([picture], torch.device("cpu"))["image"]]
    apart = []
    for number, view in enumerate(views):
        texts = SCRIPT[: number + 1][-2:]
        noise_PC = item_noise(3, number, shape)
        expected_PC = read_anew(pretrained, seen[-2:], texts, noise_PC)
        apart.append(float((view.latents_PC - expected_PC).abs().max()))
        seen.append(view.latents_PC)
    assert max(apart[:2]) < 1e-3  # nothing has left
    assert (max(apart[2:]) < 1e-3) == is_exact


def test_a_window_goes_on_where_the_context_would_be_full(
    build: Callable[..., Pretrained], picture: Image
) -> None:
    pretrained = build(context_positions=40)
    whole, sliding = (Request((picture,), script=SCRIPT, window=window) for window in (None, 9))
    with pytest.raises(UserError, match="context holds 40"):
        Sampler(pretrained).generate([whole], DRAW)
    held = []
    hook = pretrained.decoder.register_forward_pre_hook(
        lambda _, given: held.append(int(given[1].last_BT.max()) + 1)
    )
    [spans] = Sampler(pretrained).generate([sliding], DRAW)
    hook.remove()
    assert sum(isinstance(span, Image) for span in spans) == len(SCRIPT)
    assert max(held) <= 40


def test_rows_of_different_windows_run_beside_each_other_as_alone(
    pretrained: Pretrained, picture: Image
) -> None:
    sampler, draw = Sampler(pretrained), DRAW.model_copy(update={"guidance": 2.0})
    requests = [Request((picture,), 1, script=SCRIPT, window=window) for window in (2, None, 4)]
    together = sampler.generate(requests, draw)
    for request, spans in zip(requests, together, strict=True):
        [alone] = sampler.generate([request], draw)
        for one, other in zip(alone, spans, strict=True):
            if isinstance(one, Image):
                assert abs(one.pixels().astype(int) - other.pixels()).max() <= 1


@pytest.mark.parametrize(
    "wrong", [{"window": 1, "script": SCRIPT}, {"window": 3}, {"window": 3, "opens": True}]
)
def test_windows_are_for_scripts(pretrained: Pretrained, picture: Image, wrong: dict) -> None:
    with pytest.raises(UserError, match="window = "):
        Sampler(pretrained).generate([Request((picture,), **wrong)], DRAW)
