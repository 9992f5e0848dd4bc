import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from chiasm.tokenizers.storage import load_tokenizer
from chiasm.vision.encoder import RaeEncoder
from chiasm.vision.learning.training import train_tokenizer
from chiasm.vision.settings import EncoderSettings
from chiasm.vision.tokenizer import seeded

SHAPE = {"image_pixels": 32, "channels": 32, "widths": (8, 16, 32), "blocks": 2}


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_latents_are_the_normed_output_of_so_many_blocks(images, layer) -> None:
    encoder = seeded(0, RaeEncoder, EncoderSettings.model_validate({**SHAPE, "layer": layer}))
    outputs = []
    for module in (encoder.place_PD, *encoder.blocks):
        if isinstance(module, torch.nn.Module):
            module.register_forward_hook(lambda _, __, output: outputs.append(output))
    encoder(images)
    centred = images * 4 - 2
    cells = functional.unfold(centred, 16, stride=16).mT
    before = encoder.pyramid(centred).flatten(2).mT + encoder.patches(cells) + encoder.place_PD
    expected = [before, *outputs][layer]
    mean, deviation = expected.mean(-1, keepdim=True), expected.var(-1, keepdim=True, correction=0)
    torch.testing.assert_close(
        encoder.features(images), (expected - mean) / (deviation + 1e-5) ** 0.5
    )


def test_without_a_layer_latents_are_the_last_features(images) -> None:
    encoder = seeded(0, RaeEncoder, EncoderSettings.model_validate(SHAPE))
    assert torch.equal(encoder.features(images), encoder(images))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"layer": 3}, "layer = 3 of an encoder of blocks = 2"),
        ({"layer": 1, "channels": 16}, "widths\\[2\\] = 32, but channels = 16"),
    ],
)
def test_a_layer_that_is_not_there_is_refused(given, says) -> None:
    with pytest.raises(ValidationError, match=says):
        EncoderSettings.model_validate({**SHAPE, **given})


@pytest.mark.slow
def test_layers_of_one_encoder_are_told_apart_and_come_back(
    tmp_path, make_settings, train_scenes, held_out_scenes
) -> None:
    made = {}
    for layer in (0, 1):
        settings = make_settings(5, 5, 1000)
        shape = EncoderSettings.model_validate({**SHAPE, "blocks": 1, "layer": layer})
        settings = settings.model_copy(update={"encoder": shape})
        made[layer] = train_tokenizer(
            settings, train_scenes, held_out_scenes, tmp_path / f"layer {layer}"
        )
        pictures = held_out_scenes.batch(range(4))
        loaded = load_tokenizer(tmp_path / f"layer {layer}")
        assert torch.equal(loaded.encode(pictures), made[layer].encode(pictures))
    first, second = (made[layer].statistics.encoder for layer in (0, 1))
    assert first.removesuffix(", layer 0") == second.removesuffix(", layer 1")
    assert first != second
