"""The interleaved sampler against a reference without a cache, and its rules."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from chiasm.documents import Continuous, Image, Span, Text
from chiasm.errors import UserError
from chiasm.inference.history import lay_out
from chiasm.inference.passage import Passage, PlacedItem, prompt_passage
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import (
    Ended,
    Ending,
    Event,
    Generated,
    Request,
    SamplingSettings,
    TextWritten,
)
from chiasm.inference.sampler import Sampler

Prefer = Callable[[Pretrained, int, float], None]

QUICK = SamplingSettings(steps=3, max_tokens=12, max_items=2)
GREEDY = QUICK.model_copy(update={"temperature": 0.0})


def heard(
    pretrained: Pretrained, request: Request, settings: SamplingSettings
) -> tuple[list[Text | Image], list[Event]]:
    [spans] = Sampler(pretrained).generate([request], settings)
    return spans, list(Sampler(pretrained).stream([request], settings))


def ending(pretrained: Pretrained, settings: SamplingSettings, **request: object) -> Ending:
    last = heard(pretrained, Request((Text("caption: a"),), **request), settings)[1][-1]
    assert isinstance(last, Ended)
    return last.ending


def texts(spans: list[Text | Image]) -> list[str]:
    return [span.text for span in spans if isinstance(span, Text)]


def greedy_without_cache(
    pretrained: Pretrained, document: Passage, latents: dict[str, torch.Tensor], count: int
) -> str:
    """Each token from one pass over the whole document, every item at flow time 1."""
    text, begin = pretrained.text_tokenizer, len(document)
    opening = [marks.begin for marks in text.marks.values()]
    never = [mark for marks in text.marks.values() for mark in (marks.end, marks.fill)]
    for _ in range(count):
        reading = lay_out(pretrained.decoder, [document], latents, 1.0, [0], cache=None)
        logits_V = pretrained.decoder.text_logits(
            pretrained.decoder(reading.inputs, reading.mask)[0, -1]
        )
        logits_V[[text.pad_id, text.bod_id, *never]] = -torch.inf
        document = Passage([*document.ids, int(logits_V.argmax())], document.items)
        if document.ids[-1] in (text.eod_id, *opening):
            break
    return text.decode(document.ids[begin:])


def assert_greedy_as_without_cache(
    pretrained: Pretrained, prompt: tuple[Span, ...], stream: str
) -> str:
    """What is written after an item that was generated."""
    text, decoder = pretrained.text_tokenizer, pretrained.decoder
    settings = GREEDY.model_copy(update={"max_items": 1})
    request = Request(prompt, seed=7, opens=True, stream=stream)
    spans, events = heard(pretrained, request, settings)
    [drawn] = [event for event in events if isinstance(event, Generated)]
    assert np.array_equal(spans[0].data, drawn.item.data)
    assert spans[0].stream == stream
    begin, end, fill = text.marks[stream]
    document = prompt_passage(prompt, text, pretrained.tokenizers)
    items = (*document.items, PlacedItem(stream, len(document) + 1, decoder.shapes[stream].grid))
    latent = [fill] * decoder.shapes[stream].num_tokens
    document = Passage([*document.ids, begin, *latent, end], items)
    latents = pretrained.tokenizers.encode_spans(
        [span for span in prompt if isinstance(span, Continuous)], torch.device("cpu")
    )
    before = latents.get(stream, torch.zeros(0, decoder.shapes[stream].channels))
    latents[stream] = torch.cat((before, drawn.latents_PC))
    written = "".join(texts(spans))
    assert written == greedy_without_cache(pretrained, document, latents, 12)
    return written


@pytest.mark.parametrize("model_seed", range(4))
def test_greedy_text_after_a_drawn_image_is_the_same_without_a_cache(
    build: Callable[..., Pretrained], picture: Image, model_seed: int
) -> None:
    prompt = (Text("next:"), picture, Text("picture: "))
    assert_greedy_as_without_cache(build(seed=model_seed), prompt, "image")


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["image", "series"])
@pytest.mark.parametrize(
    "model",
    [
        {},
        {"attention_weights": "modality"},
        {"experts": "moe", "moe": {"num_experts": 8, "shared_experts": "modality"}},
    ],
)
def test_greedy_text_after_either_item_is_the_same_without_a_cache(
    build: Callable[..., Pretrained],
    picture: Image,
    make_series: Callable[[int], Continuous],
    stream: str,
    model: dict,
) -> None:
    written = []
    for seed in range(3):
        pretrained = build(seed=seed, series=True, **model)
        prompt = (Text("next:"), picture, make_series(seed), Text("and: "))
        written.append(assert_greedy_as_without_cache(pretrained, prompt, stream))
    assert any(written), "some of them write"


def test_nothing_random_enters_greedy_text_after_an_image(
    pretrained: Pretrained, picture: Image
) -> None:
    settings = GREEDY.model_copy(update={"max_items": 0})
    results = [
        heard(pretrained, Request((picture, Text("caption:")), seed=seed), settings)
        for seed in (1, 2)
    ]
    assert results[0] == results[1]


@pytest.fixture
def mixed(make_image: Callable[[int], Image]) -> list[Request]:
    return [
        Request((Text("story: "),), seed=3),
        Request((make_image(1), Text("caption:")), seed=4),
        Request((Text("picture: a long wall of brick"),), seed=5, opens=True),
        Request((Text("video:"), make_image(2), make_image(3)), seed=6, opens=True),
        Request((), seed=7),
        Request((Text("story: "),), seed=8),
    ]


def assert_same(one: list[Text | Image], other: list[Text | Image]) -> None:
    assert [type(span) for span in one] == [type(span) for span in other]
    assert texts(one) == texts(other)
    for a, b in zip(one, other, strict=True):
        if isinstance(a, Image) and isinstance(b, Image):
            np.testing.assert_allclose(a.pixels().astype(int), b.pixels().astype(int), atol=1)
        elif isinstance(a, Continuous) and isinstance(b, Continuous):
            assert a.stream == b.stream
            np.testing.assert_allclose(a.data, b.data, atol=1e-3)


@pytest.mark.slow
def test_a_result_does_not_depend_on_what_runs_beside_it(
    build: Callable[..., Pretrained], prefer: Prefer, mixed: list[Request]
) -> None:
    pretrained = build()
    prefer(pretrained, pretrained.text_tokenizer.marks["image"].begin, 0.6)
    sampler = Sampler(pretrained)
    together = sampler.generate(mixed, QUICK)
    assert sum(isinstance(span, Image) for spans in together for span in spans) > 3
    for number, request in enumerate(mixed):
        [alone] = sampler.generate([request], QUICK)
        assert_same(together[number], alone)
    in_threes = sampler.generate(mixed, QUICK.model_copy(update={"batch_size": 3}))
    for one, other in zip(together, in_threes, strict=True):
        assert_same(one, other)


def test_seeds_decide(pretrained: Pretrained) -> None:
    requests = [Request((Text("picture: a"),), seed=seed, opens=True) for seed in (0, 0, 1)]
    first, same, other = Sampler(pretrained).generate(requests, QUICK)
    assert_same(first, same)
    assert texts(first) != texts(other)
    assert np.abs(first[0].pixels().astype(int) - other[0].pixels()).max() > 10


def test_the_stream_of_events_is_the_result(
    build: Callable[..., Pretrained], prefer: Prefer, mixed: list[Request]
) -> None:
    pretrained = build()
    prefer(pretrained, pretrained.text_tokenizer.marks["image"].begin, 0.6)
    settings = QUICK.model_copy(update={"batch_size": 4})
    results = Sampler(pretrained).generate(mixed, settings)
    events = list(Sampler(pretrained).stream(mixed, settings))
    for number, spans in enumerate(results):
        own = [event for event in events if event.request == number]
        rebuilt: list[str | bytes] = []
        for event in own:
            if isinstance(event, Generated):
                rebuilt.append(event.item.data.tobytes())
            elif isinstance(event, TextWritten) and rebuilt and isinstance(rebuilt[-1], str):
                rebuilt[-1] += event.text
            elif isinstance(event, TextWritten):
                rebuilt.append(event.text)
        assert rebuilt == [
            span.text if isinstance(span, Text) else span.data.tobytes() for span in spans
        ]
        assert isinstance(own[-1], Ended)


def test_the_model_opens_images_itself_until_max_items(
    build: Callable[..., Pretrained], prefer: Prefer
) -> None:
    pretrained = build()
    prefer(pretrained, pretrained.text_tokenizer.marks["image"].begin, 50.0)
    settings = QUICK.model_copy(update={"max_tokens": 0, "max_items": 3})
    spans, events = heard(pretrained, Request((Text("video:"),)), settings)
    assert [type(span) for span in spans] == [Image] * 3
    assert events[-1].ending is Ending.MAX_TOKENS  # neither a token nor an image was left
    settings = QUICK.model_copy(update={"max_items": 0})
    assert ending(pretrained, settings) is Ending.MAX_ITEMS


@pytest.mark.parametrize("stream", ["image", "series"])
def test_the_model_opens_items_of_either_stream(
    build: Callable[..., Pretrained], prefer: Prefer, stream: str
) -> None:
    pretrained = build(series=True)
    prefer(pretrained, pretrained.text_tokenizer.marks[stream].begin, 50.0)
    settings = QUICK.model_copy(update={"max_tokens": 0, "max_items": 3})
    spans, events = heard(pretrained, Request((Text("so:"),)), settings)
    assert [span.stream for span in spans] == [stream] * 3
    assert [type(span) for span in spans] == [{"image": Image}.get(stream, Continuous)] * 3
    generated = [event.latents_PC for event in events if isinstance(event, Generated)]
    shape = pretrained.decoder.shapes[stream]
    assert [z_PC.shape for z_PC in generated] == [(shape.num_tokens, shape.channels)] * 3
    assert not torch.allclose(generated[0], generated[1])


def test_a_result_does_not_depend_on_items_of_other_streams_beside_it(
    with_series: Pretrained, picture: Image, make_series: Callable[[int], Continuous]
) -> None:
    requests = [
        Request((Text("a"),), seed=1, opens=True, stream="series"),
        Request((picture, Text("b")), seed=2, opens=True),
        Request((make_series(0), picture), seed=3, opens=True, stream="series"),
        Request((make_series(1),), seed=4, opens=True),
        Request((make_series(2), Text("c")), seed=5),
    ]
    sampler = Sampler(with_series)
    together = sampler.generate(requests, QUICK)
    for request, spans in zip(requests, together, strict=True):
        [alone] = sampler.generate([request], QUICK)
        assert_same(spans, alone)
    items = [span for spans in together for span in spans if isinstance(span, Continuous)]
    assert {span.stream for span in items} == {"image", "series"}


def test_what_is_never_a_target_is_never_chosen(
    build: Callable[..., Pretrained], prefer: Prefer
) -> None:
    """Whichever of them is preferred, the same is written: ends and latents of both streams."""
    pretrained, written = build(series=True), set()
    text = pretrained.text_tokenizer
    marks = [mark for marks in text.marks.values() for mark in (marks.end, marks.fill)]
    for mark in (text.pad_id, text.bod_id, *marks):
        prefer(pretrained, mark, 50.0)
        spans, _ = heard(pretrained, Request((Text("a"),)), QUICK)
        written.add("".join(texts(spans)))
    assert len(written) == 1
    assert written != {""}


def test_a_stream_that_the_model_has_not_is_refused_before_anything_runs(
    pretrained: Pretrained, make_series: Callable[[int], Continuous]
) -> None:
    for request in (Request((), opens=True, stream="series"), Request((make_series(0),))):
        with pytest.raises(UserError, match=r"no stream 'series' here, only image"):
            next(Sampler(pretrained).stream([Request(()), request], QUICK))


def test_items_of_a_stream_that_only_reads_cannot_be_asked_for(
    build: Callable[..., Pretrained],
) -> None:
    request = Request((), opens=True, stream="seen")
    with pytest.raises(UserError, match="'seen', which only reads the context of 'image'"):
        Sampler(build(seen_pixels=12)).generate([request], QUICK)


def test_the_document_ends(build: Callable[..., Pretrained], prefer: Prefer) -> None:
    pretrained = build()
    prefer(pretrained, pretrained.text_tokenizer.eod_id, 50.0)
    spans, events = heard(pretrained, Request((Text("a"),)), QUICK)
    assert spans == []
    assert events == [Ended(0, Ending.DOCUMENT)]


def test_stop_strings_and_max_tokens(build: Callable[..., Pretrained], prefer: Prefer) -> None:
    pretrained = build()
    [letter] = pretrained.text_tokenizer.encode("k")
    prefer(pretrained, letter, 50.0)
    spans, _ = heard(pretrained, Request((Text("a"),)), QUICK)
    assert spans == [Text("k" * 12)]
    assert ending(pretrained, QUICK) is Ending.MAX_TOKENS
    stopping = QUICK.model_copy(update={"stop": ("kx", "kkkk")})
    assert ending(pretrained, stopping) is Ending.STOP
    spans, _ = heard(pretrained, Request((Text("a"),)), stopping)
    assert spans == []


def test_the_context_is_filled_to_its_end_and_never_beyond(
    build: Callable[..., Pretrained], prefer: Prefer
) -> None:
    pretrained = build(context_positions=20)
    [letter] = pretrained.text_tokenizer.encode("k")
    prefer(pretrained, letter, 50.0)
    endless = QUICK.model_copy(update={"max_tokens": 1000})
    spans, events = heard(pretrained, Request((Text("kk"),)), endless)
    assert spans == [Text("k" * 17)]  # after <bod> and the prompt's two tokens
    assert events[-1] == Ended(0, Ending.CONTEXT)

    prefer(pretrained, pretrained.text_tokenizer.marks["image"].begin, 50.0)
    many = QUICK.model_copy(update={"max_items": 100})
    spans, events = heard(pretrained, Request((Text("kk"),)), many)
    assert len(spans) == 2  # 3 positions of prompt, 6 for each image
    assert events[-1] == Ended(0, Ending.CONTEXT)


def test_a_prompt_longer_than_the_context_is_refused_before_anything_runs(
    build: Callable[..., Pretrained], picture: Image
) -> None:
    sampler = Sampler(build(context_positions=20))
    requests = [Request((Text("a"),)), Request((picture, Text("k" * 30)))]
    with pytest.raises(UserError, match=r"request 1 takes 37 positions but .* holds 20"):
        next(sampler.stream(requests, QUICK.model_copy(update={"batch_size": 1})))
    with pytest.raises(
        UserError, match=r"takes 17 positions and the image to generate, 23 together"
    ):
        sampler.generate([Request((Text("k" * 16),), opens=True)], QUICK)


def test_contradictory_limits_are_refused(pretrained: Pretrained) -> None:
    with pytest.raises(UserError, match="max_items = 0"):
        ending(pretrained, QUICK.model_copy(update={"max_items": 0}), opens=True)


def test_a_picture_that_cannot_be_decoded_is_refused(pretrained: Pretrained) -> None:
    broken = Image(b"no picture", target=False)
    with pytest.raises(UserError, match="cannot be decoded"):
        Sampler(pretrained).generate([Request((broken,))], QUICK)


def test_no_request_gives_no_result(pretrained: Pretrained) -> None:
    assert Sampler(pretrained).generate([], QUICK) == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"steps": 2}, 0.5), ({"steps": 1}, 1.0), ({"steps": 2, "solver": "heun"}, 0.0)],
)
def test_a_model_is_told_how_long_a_step_of_the_solver_is(
    build: Callable[..., Pretrained], settings: dict, told: float
) -> None:
    """While an item is made, at every step; not where what is finished is read."""
    pretrained, read = build(shortcut_steps=8), []

    def note(_: torch.nn.Module, given: tuple) -> None:
        read.extend(own.step_L for own in given[0].latents.values())

    hook = pretrained.decoder.register_forward_pre_hook(note)
    request = Request((Text("picture: a wall"),), opens=True)
    Sampler(pretrained).generate([request], SamplingSettings(max_tokens=1, **settings))
    hook.remove()
    steps = [step_L.tolist() for step_L in read if step_L is not None]
    asked = 2 * settings["steps"] - 1 if "solver" in settings else settings["steps"]
    assert steps == [[told]] * asked
    assert len(read) == asked + 1


def test_heun_and_guidance_change_the_picture(pretrained: Pretrained) -> None:
    request = Request((Text("picture: a wall"),), opens=True)
    settings = QUICK.model_copy(update={"max_tokens": 0, "max_items": 1})
    pictures = [
        heard(pretrained, request, settings.model_copy(update=change))[0][0].pixels().astype(int)
        for change in ({}, {"solver": "heun"}, {"guidance": 1.0})
    ]
    assert np.abs(pictures[0] - pictures[1]).max() > 0
    assert np.abs(pictures[0] - pictures[2]).max() > 0


@pytest.mark.parametrize("conditioning", ["added", "adaptive"])
def test_a_model_that_computes_in_bfloat16_writes_and_draws(
    build: Callable[..., Pretrained], picture: Image, conditioning: str
) -> None:
    pretrained = build(time_conditioning=conditioning)
    pretrained.decoder.compute_dtype = torch.bfloat16
    spans, _ = heard(pretrained, Request((picture, Text("next:")), opens=True), QUICK)
    assert isinstance(spans[0], Image)
    assert texts(spans)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_on_a_gpu_draws_what_it_draws_on_a_cpu(
    build: Callable[..., Pretrained], picture: Image
) -> None:
    pretrained = build()
    request = Request((picture, Text("next:")), opens=True)
    settings = QUICK.model_copy(update={"max_tokens": 0, "max_items": 1})
    [on_cpu], _ = heard(pretrained, request, settings)
    pretrained.decoder.to("cuda")
    pretrained.tokenizers.to(torch.device("cuda"))
    [on_gpu], _ = heard(pretrained, request, settings)
    difference = np.abs(on_cpu.pixels().astype(int) - on_gpu.pixels())
    assert difference.mean() < 8


def test_a_head_in_the_middle_guides_where_there_is_one(
    build: Callable[..., Pretrained], pretrained: Pretrained
) -> None:
    draws = Request((Text("picture:"),), opens=True)
    plain = SamplingSettings(steps=3, max_tokens=0, guidance=1)
    guided = plain.model_copy(update={"inner_guidance": 3.0})
    own = Sampler(build(inner={"block": 1}))
    [[drawn]], [[other]] = (own.generate([draws], asked) for asked in (plain, guided))
    assert not np.array_equal(drawn.data, other.data)
    for model in (pretrained, build(inner={"block": 1, "target": "average"})):
        with pytest.raises(UserError, match=r"inner_guidance = 3\.0, but this model has no head"):
            Sampler(model).generate([draws], guided)
