"""What a model made is read back with noise, where it is asked to be."""

from dataclasses import replace

import numpy as np
import torch

from chiasm.documents import Image, Text
from chiasm.flow import mix
from chiasm.inference.choice import GIVEN_NOISE, MADE_NOISE, item_noise
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler

DRAW = SamplingSettings(steps=2, guidance=1.0, max_tokens=0)


def picture(seed: int) -> Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image(pixels, target=False)


class Recorder:
    """Notes what the decoder reads: latents [L, C] and their flow times [L] of each pass."""

    def __init__(self, pretrained) -> None:
        self.read: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._hook = pretrained.decoder.register_forward_pre_hook(self._note)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._hook.remove()

    def _note(self, _, given) -> None:
        for own in given[0].latents.values():
            self.read.append((own.z_LC.clone(), own.time_L.clone()))


def generated(pretrained, settings: SamplingSettings, request: Request):
    limits = settings.model_copy(update={"max_items": 2})
    with Recorder(pretrained) as recorder:
        spans = Sampler(pretrained).generate([request], limits)[0]
    return recorder.read, spans


SPANS = (picture(0), Text("action: ahead"), picture(1))
SCRIPT = ("action: left", "action: right")


def test_without_noise_all_is_as_it_was(pretrained) -> None:
    request = Request(SPANS, 5, script=SCRIPT)
    _, plain = generated(pretrained, DRAW, request)
    read, same = generated(pretrained, DRAW, replace(request, imagined=True))
    assert all(
        np.array_equal(a.pixels(), b.pixels())
        for a, b in zip(plain, same, strict=True)
        if isinstance(a, Image)
    )
    assert set(read[0][1].tolist()) == {1.0}


def test_the_prompt_of_an_imagined_view_is_noised_and_its_time_told(pretrained) -> None:
    settings = DRAW.model_copy(update={"history_noise": 0.25})
    given, _ = generated(pretrained, settings, Request(SPANS, 5, script=SCRIPT))
    made, _ = generated(pretrained, settings, Request(SPANS, 5, script=SCRIPT, imagined=True))
    (clean_LC, one_L), (noised_LC, time_L) = given[0], made[0]
    assert set(one_L.tolist()) == {1.0}
    assert set(time_L.tolist()) == {0.75}
    shape = pretrained.decoder.shapes["image"]
    noise_LC = torch.cat([item_noise(5, number, shape, GIVEN_NOISE) for number in (0, 1)])
    torch.testing.assert_close(noised_LC, mix(clean_LC, noise_LC, time_L))


def test_what_was_made_before_is_read_with_noise(pretrained) -> None:
    settings = DRAW.model_copy(update={"history_noise": 0.25})
    request = Request(SPANS, 5, script=SCRIPT)
    clean, _ = generated(pretrained, DRAW, request)
    noised, _ = generated(pretrained, settings, request)
    # The prompt, two solver steps, and then the first finished item.
    (z_LC, time_L), (z_noised_LC, low_L) = clean[3], noised[3]
    assert set(time_L.tolist()) == {1.0}
    assert set(low_L.tolist()) == {0.75}
    drawn = item_noise(5, 0, pretrained.decoder.shapes["image"], MADE_NOISE)
    torch.testing.assert_close(z_noised_LC, mix(z_LC, drawn, low_L))
