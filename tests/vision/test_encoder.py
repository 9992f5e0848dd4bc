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


def normed_outputs(encoder: RaeEncoder, images: torch.Tensor) -> list[torch.Tensor]:
    """By their definition, of every layer."""
    outputs = []
    for module in (encoder.place_PD, *encoder.blocks):
        if isinstance(module, torch.nn.Module):
            module.register_forward_hook(lambda _, __, output: outputs.append(output))
    encoder(images)
    centred = images * 4 - 2
    cells = functional.unfold(centred, 16, stride=16).mT
    before = encoder.pyramid(centred).flatten(2).mT + encoder.patches(cells) + encoder.place_PD
    return [
        (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-5) ** 0.5
        for x in (before, *outputs)
    ]


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_latents_are_the_normed_output_of_so_many_blocks(images, layer) -> None:
    encoder = seeded(0, RaeEncoder, EncoderSettings.model_validate({**SHAPE, "layers": layer}))
    torch.testing.assert_close(encoder.features(images), normed_outputs(encoder, images)[layer])


@pytest.mark.parametrize("layers", ["last 2", (1, 2)])
def test_several_layers_are_the_sum_of_each_ones_normed_output(images, layers) -> None:
    encoder = seeded(0, RaeEncoder, EncoderSettings.model_validate({**SHAPE, "layers": layers}))
    _, first, second = normed_outputs(encoder, images)
    torch.testing.assert_close(encoder.features(images), (first + second) / 2**0.5)


def test_several_layers_stand_side_by_side(images) -> None:
    shape = {**SHAPE, "layers": (0, 2), "layer_join": "concatenate", "channels": 64}
    encoder = seeded(0, RaeEncoder, EncoderSettings.model_validate(shape))
    before, _, second = normed_outputs(encoder, images)
    torch.testing.assert_close(encoder.features(images), torch.cat((before, second), dim=2))


def test_blocks_above_the_layers_do_not_run(images) -> None:
    shape = EncoderSettings.model_validate({**SHAPE, "layers": (0, 1)})
    encoder = seeded(0, RaeEncoder, shape)
    encoder.blocks[1].register_forward_hook(lambda *_: pytest.fail("it ran"))
    encoder.features(images)


def test_a_description_of_one_layer_is_read_as_it_was_written(images) -> None:
    now = seeded(0, RaeEncoder, EncoderSettings.model_validate({**SHAPE, "layers": 1}))
    described = {**now.describe(), "layer": 1}
    del described["layers"], described["layer_join"]
    then = RaeEncoder.open(described)
    then.load_state_dict(now.state_dict())
    assert torch.equal(then.features(images), now.features(images))


def test_without_a_layer_latents_are_the_last_features(images) -> None:
    encoder = seeded(0, RaeEncoder, EncoderSettings.model_validate(SHAPE))
    assert torch.equal(encoder.features(images), encoder(images))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"layers": 3}, "layers = 3 of an encoder of blocks = 2; choose among 0 .* to 2"),
        ({"layers": "last 4"}, "layers = last 4 of an encoder of blocks = 2"),
        ({"layers": (1, 1)}, "at most once"),
        ({"layers": ()}, "at least one"),
        ({"layers": "all"}, "layers"),
        ({"layers": 1, "channels": 16}, "widths\\[2\\] = 32, but channels = 16"),
        ({"layers": "last 2", "layer_join": "concatenate"}, "latents of 64 channels"),
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
        shape = EncoderSettings.model_validate({**SHAPE, "blocks": 1, "layers": layer})
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
