"""Images that a request gives texts between, and prompts that requests share."""

from collections.abc import Callable

import pytest
import torch

from chiasm.batch.latents import ImageLatents
from chiasm.documents import Image, Text
from chiasm.errors import UserError
from chiasm.flow import velocity
from chiasm.inference.choice import image_noise
from chiasm.inference.history import lay_out
from chiasm.inference.passage import passage, prompt_ids, prompt_latents
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Event, ImageDrawn, Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.solvers import denoise, time_grid

ACTIONS = ("action: ahead", "action: left, far left")
DRAW = SamplingSettings(steps=3, max_tokens=0, max_images=3, guidance=1.0)


def latents(pretrained: Pretrained, requests: list[Request]) -> list[list[torch.Tensor]]:
    events: list[Event] = []
    Sampler(pretrained).generate(requests, DRAW, events.append)
    drawn = [event for event in events if isinstance(event, ImageDrawn)]
    return [[e.latents_PC for e in drawn if e.request == n] for n in range(len(requests))]


@torch.inference_mode()
def without_cache(pretrained: Pretrained, request: Request) -> list[torch.Tensor]:
    """Every image by whole passes over the document so far."""
    text, vision = pretrained.text_tokenizer, pretrained.vision_tokenizer
    decoder, prediction = pretrained.decoder, pretrained.flow.prediction
    count = vision.image_shape.num_tokens
    ids = list(prompt_ids(request.spans, text, vision.image_shape))
    before_LC = prompt_latents(request.spans, vision, torch.device("cpu")).z_LC
    made: list[torch.Tensor] = []
    for number, given in enumerate(request.script or ("",)):
        ids += [*text.encode(given), text.boi_id, *[text.image_id] * count]
        whole = passage(ids, text.image_id, vision.image_shape)

        def predicted(z_NPC: torch.Tensor, time: float, whole=whole, seen_LC=before_LC):
            z_LC = torch.cat((seen_LC, z_NPC[0]))
            time_L = torch.ones(len(z_LC))
            time_L[len(seen_LC) :] = time
            reading = lay_out([whole], ImageLatents(z_LC), time_L, [0], cache=None)
            x_TD = decoder(reading.inputs, reading.mask)[0]
            output_PC = decoder.latent_output(x_TD[-count:]).float()
            return velocity(output_PC, z_NPC[0], time_L[len(seen_LC) :], prediction)[None]

        noise = image_noise(request.seed, number, count, decoder.latent_channels)
        times = time_grid(DRAW.steps, pretrained.shift)
        [z_PC] = denoise(predicted, noise[None], times, DRAW.solver)
        made.append(z_PC)
        before_LC = torch.cat((before_LC, z_PC))
        ids.append(text.eoi_id)
    return made


@pytest.mark.parametrize(
    "model", [{}, {"experts": "modality"}, {"experts": "moe", "moe": {"num_experts": 8}}]
)
def test_images_between_given_texts_are_those_of_whole_passes(
    build: Callable[..., Pretrained], make_image: Callable[[int], Image], model: dict
) -> None:
    pretrained = build(context_positions=160, **model)
    requests = [
        Request((make_image(n),), n, opens_image=not script, script=script)
        for n, script in enumerate((ACTIONS, ACTIONS[::-1], ACTIONS[:1], ()))
    ]
    for got, request in zip(latents(pretrained, requests), requests, strict=True):
        expected = without_cache(pretrained, request)
        assert len(got) == len(expected) == request.num_given_images
        for one, other in zip(got, expected, strict=True):
            torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-4)


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

    assert "must end in an image" in refused(Request((Text("so:"),), script=ACTIONS))
    assert "must end in an image" in refused(Request((picture,), opens_image=True, script=ACTIONS))
    assert "draw 2 images but max_images = 1" in refused(
        Request((picture,), script=ACTIONS), max_images=1
    )
    assert "2 images to draw" in refused(Request((picture,), script=("word " * 40,) * 2))


def test_writing_goes_on_behind_the_last_given_image(
    build: Callable[..., Pretrained], picture: Image
) -> None:
    request = Request((picture,), 3, script=ACTIONS)
    settings = DRAW.model_copy(update={"max_tokens": 6, "max_images": 2})
    [spans] = Sampler(build(context_positions=160)).generate([request], settings)
    assert [type(span) for span in spans[:4]] == [Text, Image, Text, Image]
    assert [type(span) for span in spans[4:]] == [Text]
