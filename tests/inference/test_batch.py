"""Items that a request gives texts between, and prompts that requests share."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from chiasm.documents import Continuous, Document, Image, Text
from chiasm.errors import UserError
from chiasm.flow import StreamFlow, velocity
from chiasm.inference.choice import item_noise
from chiasm.inference.history import lay_out
from chiasm.inference.passage import Passage, PlacedItem, prompt_passage
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Generated, Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.solvers import denoise, time_grid

ACTIONS = ("action: ahead", "action: left, far left")
DRAW = SamplingSettings(steps=3, max_tokens=0, max_items=3, guidance=1.0)


def latents(pretrained: Pretrained, requests: list[Request]) -> list[list[torch.Tensor]]:
    events = Sampler(pretrained).stream(requests, DRAW)
    drawn = [event for event in events if isinstance(event, Generated)]
    return [[e.latents_PC for e in drawn if e.request == n] for n in range(len(requests))]


@torch.inference_mode()
def without_cache(pretrained: Pretrained, request: Request) -> list[torch.Tensor]:
    """Every item by whole passes over the document so far."""
    text, decoder, stream = pretrained.text_tokenizer, pretrained.decoder, request.stream
    shape, marks = decoder.shapes[stream], text.marks[stream]
    count = shape.num_tokens
    document = prompt_passage(request.spans, text, pretrained.tokenizers)
    spans = list(Document(request.spans).items)
    read = pretrained.tokenizers.encode_spans(spans, torch.device("cpu"))
    read.setdefault(stream, torch.zeros(0, shape.channels))
    made: list[torch.Tensor] = []
    for number, given in enumerate(request.script or ("",)):
        ids = [*document.ids, *text.encode(given), marks.begin]
        items = (*document.items, PlacedItem(stream, len(ids), shape.grid))
        whole = Passage([*ids, *[marks.fill] * count], items)

        def predicted(z_NPC: torch.Tensor, time: float, whole=whole):
            given = {**read, stream: torch.cat((read[stream], z_NPC[0]))}
            reading = lay_out(decoder, [whole], given, 1.0, [0], cache=None)
            own = reading.inputs.latents[stream]
            time_L = own.time_L.clone()
            time_L[-count:] = time
            own = own._replace(time_L=time_L)
            inputs = replace(reading.inputs, latents={**reading.inputs.latents, stream: own})
            x_TD = decoder(inputs, reading.mask)[0]
            output_PC = decoder.latent_output(stream, x_TD[-count:]).float()
            prediction = pretrained.flow.of(stream).prediction
            return velocity(output_PC, z_NPC[0], time_L[-count:], prediction)[None]

        noise = item_noise(request.seed, number, shape)
        times = time_grid(DRAW.steps, pretrained.shift(shape))
        [z_PC] = denoise(predicted, noise[None], times, DRAW.solver)
        made.append(z_PC)
        read[stream] = torch.cat((read[stream], z_PC))
        document = replace(whole, ids=[*whole.ids, marks.end])
    return made


@pytest.mark.parametrize(
    "model", [{}, {"experts": "modality"}, {"experts": "moe", "moe": {"num_experts": 8}}]
)
def test_images_between_given_texts_are_those_of_whole_passes(
    build: Callable[..., Pretrained], make_image: Callable[[int], Image], model: dict
) -> None:
    pretrained = build(context_positions=160, **model)
    requests = [
        Request((make_image(n),), n, opens=not script, script=script)
        for n, script in enumerate((ACTIONS, ACTIONS[::-1], ACTIONS[:1], ()))
    ]
    assert_as_without_cache(pretrained, requests)


@pytest.mark.parametrize(
    "model",
    [
        {"experts": "dense"},
        {"attention_weights": "modality"},
        {"experts": "moe", "moe": {"num_experts": 8, "shared_experts": "modality"}},
        {"time_conditioning": "adaptive"},
    ],
)
def test_items_of_three_modalities_are_those_of_whole_passes(
    build: Callable[..., Pretrained],
    make_image: Callable[[int], Image],
    make_series: Callable[[int], Continuous],
    model: dict,
) -> None:
    """Requests of one batch that generate series and images, behind prompts of either."""
    pretrained = build(context_positions=160, series=True, **model)
    own = {"series": StreamFlow(prediction="v", shift=1.5)}
    flow = pretrained.flow.model_copy(update={"streams": own})
    pretrained = replace(pretrained, flow=flow)
    prompts = [
        (make_image(0), make_series(0)),
        (make_series(1),),
        (Text("so"), make_series(2), Text("and"), make_image(1)),
        (make_image(2),),
    ]
    requests = [
        Request(spans, n, opens=not script, script=script, stream=stream)
        for n, (spans, stream, script) in enumerate(
            (spans, stream, ACTIONS[: (k + r) % 3])
            for k, spans in enumerate(prompts)
            for r, stream in enumerate(("image", "series"))
        )
    ]
    assert_as_without_cache(pretrained, requests)


def test_views_that_another_tokenizer_reads_are_those_of_whole_passes(
    build: Callable[..., Pretrained], make_image: Callable[[int], Image]
) -> None:
    pretrained = build(context_positions=160, seen_pixels=12)
    earlier = Image(make_image(1).data, target=True)
    requests = [
        Request((make_image(0),), 1, script=ACTIONS),
        Request((make_image(2), Text("then"), earlier), 2, script=ACTIONS[:1]),
        Request((make_image(2), Text("then"), make_image(1)), 2, script=ACTIONS[:1]),
    ]
    *_, [by_its_role], [as_context] = assert_as_without_cache(pretrained, requests)
    assert not torch.allclose(by_its_role, as_context, atol=1e-3)


def assert_as_without_cache(
    pretrained: Pretrained, requests: list[Request]
) -> list[list[torch.Tensor]]:
    found = latents(pretrained, requests)
    for got, request in zip(found, requests, strict=True):
        expected = without_cache(pretrained, request)
        assert len(got) == len(expected) == request.num_given_items
        for one, other in zip(got, expected, strict=True):
            torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-4)
    return found


def test_the_spans_are_the_document_that_goes_on(
    build: Callable[..., Pretrained], picture: Image
) -> None:
    request = Request((picture,), script=ACTIONS)
    [spans] = Sampler(build(context_positions=160)).generate([request], DRAW)
    assert [type(span) for span in spans] == [Text, Image, Text, Image]
    assert tuple(span.text for span in spans if isinstance(span, Text)) == ACTIONS


def test_a_prompt_that_requests_share_is_read_once_for_all(
    build: Callable[..., Pretrained], make_image: Callable[[int], Image]
) -> None:
    pretrained = build(context_positions=160)
    shared, other = (make_image(0),), (Text("so:"), make_image(1))
    order = [shared, other, shared, other, shared]
    requests = [
        Request(spans, seed, script=ACTIONS[: 1 + seed % 2]) for seed, spans in enumerate(order)
    ]
    read: list[int] = []
    hook = pretrained.decoder.register_forward_pre_hook(
        lambda _, inputs: read.append(inputs[0].ids_BT.shape[0])
    )
    together = latents(pretrained, requests)
    hook.remove()
    assert read[0] == 2
    apart = [latents(pretrained, [r])[0] for r in requests]
    for one, alone in zip(together, apart, strict=True):
        for a, b in zip(one, alone, strict=True):
            torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-4)


def test_what_does_not_fit_is_refused_first(pretrained: Pretrained, picture: Image) -> None:
    def refused(request: Request, **settings: int) -> str:
        with pytest.raises(UserError) as error:
            Sampler(pretrained).generate([request], DRAW.model_copy(update=settings))
        return str(error.value)

    assert "must end in an item" in refused(Request((Text("so:"),), script=ACTIONS))
    assert "must end in an item" in refused(Request((picture,), opens=True, script=ACTIONS))
    assert "generate 2 items but max_items = 1" in refused(
        Request((picture,), script=ACTIONS), max_items=1
    )
    assert "2 images to generate" in refused(Request((picture,), script=("word " * 40,) * 2))


def test_writing_goes_on_behind_the_last_given_image(
    build: Callable[..., Pretrained], picture: Image
) -> None:
    request = Request((picture,), 3, script=ACTIONS)
    settings = DRAW.model_copy(update={"max_tokens": 6, "max_items": 2})
    [spans] = Sampler(build(context_positions=160)).generate([request], settings)
    assert [type(span) for span in spans[:4]] == [Text, Image, Text, Image]
    assert [type(span) for span in spans[4:]] == [Text]
