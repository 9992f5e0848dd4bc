"""Published vision models as tokenizers, against the libraries' own forward passes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from chiasm.errors import UserError
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.vision.kinds import RaeSettings
from chiasm.vision.tokenizer import as_floats

Published = Callable[[str], Path]

MODELS = ("siglip2", "naflex", "dinov2", "webssl", "dinov2_with_registers")


def tower(folder: Path) -> Any:
    """The library's own vision tower with the affine part of its last norm set to nothing."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder).eval()
    model = getattr(model, "vision_model", model)
    norm = model.layernorm if hasattr(model, "layernorm") else model.post_layernorm
    with torch.no_grad():
        norm.weight.fill_(1)
        norm.bias.zero_()
    return model


def processed(
    folder: Path, pictures: Tensor, height: int = 32, width: int | None = None
) -> dict[str, Tensor]:
    """What the model's own processor makes of pictures; they are square unless a width is given."""
    import transformers

    width = height if width is None else width
    if folder.name == "naflex":
        patches = (height // 8) * (width // 8)
        processor = transformers.Siglip2ImageProcessorPil.from_pretrained(folder)
        processor.max_num_patches = patches
    elif folder.name == "siglip2":
        processor = transformers.SiglipImageProcessorPil.from_pretrained(folder)
        processor.size = {"height": height, "width": width}
    else:
        processor = transformers.BitImageProcessorPil.from_pretrained(folder)
        processor.size, processor.crop_size = (
            {"shortest_edge": min(height, width)},
            {"height": height, "width": width},
        )
    given = dict(processor([p.permute(1, 2, 0).numpy() for p in pictures], return_tensors="pt"))
    return given | ({"interpolate_pos_encoding": True} if folder.name == "siglip2" else {})


def patches(hidden: Tensor, folder: Path) -> Tensor:
    """Without the tokens that stand before the patches."""
    return hidden[:, {"dinov2": 1, "webssl": 1, "dinov2_with_registers": 5}.get(folder.name, 0) :]


@pytest.mark.parametrize("name", MODELS)
def test_features_are_the_librarys_own(published: Published, pictures: Tensor, name: str) -> None:
    folder = published(name)
    tokenizer = open_tokenizer(RaeSettings(path=str(folder)))
    assert tokenizer.image_shape.num_tokens == 16
    assert tokenizer.channels == 32
    with torch.no_grad():
        expected = tower(folder)(**processed(folder, pictures)).last_hidden_state
    found = tokenizer.encoder.features(as_floats(pictures))
    torch.testing.assert_close(found, patches(expected, folder), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.mean(dim=2), torch.zeros(5, 16), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("layer", [0, 2])
def test_a_layer_is_the_librarys_hidden_state(
    published: Published, pictures: Tensor, name: str, layer: int
) -> None:
    folder = published(name)
    tokenizer = open_tokenizer(RaeSettings(path=str(folder), layers=layer))
    with torch.no_grad():
        read = tower(folder)(**processed(folder, pictures), output_hidden_states=True)
    expected = functional.layer_norm(read.hidden_states[layer], (32,), eps=1e-6)
    found = tokenizer.encoder.features(as_floats(pictures))
    torch.testing.assert_close(found, patches(expected, folder), atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("join", ["sum", "concatenate"])
def test_layers_are_joined_after_a_norm_of_each(
    published: Published, pictures: Tensor, name: str, join: Literal["sum", "concatenate"]
) -> None:
    folder = published(name)
    settings = RaeSettings(path=str(folder), layers="last 2", layer_join=join)
    tokenizer = open_tokenizer(settings)
    with torch.no_grad():
        read = tower(folder)(**processed(folder, pictures), output_hidden_states=True)
    lower, upper = (
        functional.layer_norm(read.hidden_states[layer], (32,), eps=1e-6) for layer in (2, 3)
    )
    expected = (lower + upper) / 2**0.5 if join == "sum" else torch.cat((lower, upper), dim=-1)
    found = tokenizer.encoder.features(as_floats(pictures))
    torch.testing.assert_close(found, patches(expected, folder), atol=3e-5, rtol=0)
    again = tokenizer.encoder.open(tokenizer.encoder.describe())
    assert torch.equal(again.features(as_floats(pictures)), found)


@pytest.mark.parametrize("name", MODELS)
def test_other_sizes_interpolate_positions(published: Published, name: str) -> None:
    folder = published(name)
    tokenizer = open_tokenizer(RaeSettings(path=str(folder), image_pixels=48))
    larger = torch.randint(256, (2, 3, 48, 48), dtype=torch.uint8)
    with torch.no_grad():
        expected = tower(folder)(**processed(folder, larger, 48)).last_hidden_state
    found = tokenizer.encoder.features(as_floats(larger))
    assert found.shape == (2, 36, 32)
    torch.testing.assert_close(found, patches(expected, folder), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [(16, 64), (64, 16), (24, 40)])
def test_pictures_of_their_own_shapes_interpolate_positions(
    published: Published, name: str, size: tuple[int, int]
) -> None:
    folder = published(name)
    tokenizer = open_tokenizer(RaeSettings(path=str(folder), shape="native"))
    shown = torch.randint(256, (2, 3, *size), dtype=torch.uint8)
    with torch.no_grad():
        expected = tower(folder)(**processed(folder, shown, *size)).last_hidden_state
    assert tokenizer.encoder.grid_of(shown[0].permute(1, 2, 0).numpy()) == tuple(
        side // 8 for side in size
    )
    latents = tokenizer.encode(shown)
    assert latents.shape == (2, size[0] * size[1] // 64, 32)
    torch.testing.assert_close(latents, patches(expected, folder), atol=1e-5, rtol=0)


def test_a_decoder_of_squares_refuses_other_shapes(published: Published) -> None:
    with pytest.raises(UserError, match=r"shape = 'native', but the tokenizer .* one size alone"):
        open_tokenizer(RaeSettings(path=str(published("rae")), shape="native"))


@pytest.mark.parametrize("name", [*MODELS, "rae"])
def test_measured_latents_are_standardized(
    published: Published, pictures: Tensor, name: str
) -> None:
    tokenizer = open_tokenizer(RaeSettings(path=str(published(name))))
    assert tokenizer.statistics.count == 0
    tokenizer.measure(iter([pictures]), data="noise")
    latents = tokenizer.encode(pictures)
    assert latents.mean(dim=(0, 1)).abs().max() < 1e-4
    torch.testing.assert_close(
        latents.std(dim=(0, 1), unbiased=False), torch.ones(tokenizer.channels), atol=1e-3, rtol=0
    )


def test_weights_are_frozen_and_the_text_tower_is_left_out(published: Published) -> None:
    tokenizer = open_tokenizer(RaeSettings(path=str(published("siglip2"))))
    assert not any(weight.requires_grad for weight in tokenizer.parameters())
    assert not any(module.training for module in tokenizer.modules())
    assert not any("text" in name or "head" in name for name in tokenizer.state_dict())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", [*MODELS, "rae"])
def test_weights_on_cuda_are_bfloat16(published: Published, pictures: Tensor, name: str) -> None:
    tokenizer = open_tokenizer(RaeSettings(path=str(published(name))))
    expected, fingerprint = tokenizer.encode(pictures), tokenizer.fingerprint
    tokenizer.to("cuda")
    found = tokenizer.encode(pictures.to("cuda"))
    assert {weight.dtype for weight in tokenizer.parameters()} == {torch.bfloat16}
    assert found.dtype == torch.float32
    assert (found.cpu() - expected).square().mean().sqrt() < 0.03
    assert tokenizer.fingerprint == fingerprint


def test_without_a_decoder_only_drawing_fails(published: Published, pictures: Tensor) -> None:
    tokenizer = open_tokenizer(RaeSettings(path=str(published("siglip2"))))
    latents = tokenizer.encode(pictures)
    with pytest.raises(UserError, match=r"has no decoder.*decoder"):
        tokenizer.decode(latents)


def test_an_autoencoder_encodes_and_draws_as_the_library(
    published: Published, pictures: Tensor
) -> None:
    from diffusers import AutoencoderRAE

    library = AutoencoderRAE.from_pretrained(published("rae")).eval()
    tokenizer = open_tokenizer(RaeSettings(path=str(published("rae"))))
    images = as_floats(pictures)
    with torch.no_grad():
        # diffusers divides by a deviation of 1 + 1e-5 and, when it decodes, multiplies again
        latents = library.encode(images).latent
        expected = latents.flatten(2).mT * (1 + 1e-5)
        drawn = library.decode(latents).sample
    found = tokenizer.encoder.features(images)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(tokenizer.decoder.draw(found), drawn, atol=1e-5, rtol=0)
    tokenizer.measure(iter([pictures]), data="noise")
    again = tokenizer.decode(tokenizer.encode(pictures))
    assert again.shape == pictures.shape
    torch.testing.assert_close(again, drawn.clamp(0, 1), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_an_encoder_takes_the_decoder_of_an_autoencoder(
    published: Published, pictures: Tensor
) -> None:
    from diffusers import AutoencoderRAE

    settings = RaeSettings(path=str(published("rae_encoder")), decoder=str(published("rae")))
    tokenizer = open_tokenizer(settings)
    library = AutoencoderRAE.from_pretrained(published("rae")).eval()
    raw = tokenizer.encoder.features(as_floats(pictures))
    with torch.no_grad():
        drawn = library.decode(raw.mT.unflatten(2, (4, 4))).sample
    torch.testing.assert_close(tokenizer.decoder.draw(raw), drawn, atol=1e-5, rtol=0)


def test_what_is_drawn_has_the_size_of_what_is_read(published: Published, pictures: Tensor) -> None:
    tokenizer = open_tokenizer(RaeSettings(path=str(published("rae_of_larger_pictures"))))
    drawn = tokenizer.decode(tokenizer.encode(pictures))
    assert drawn.shape == pictures.shape
    assert drawn.min() >= 0
    assert drawn.max() <= 1


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"path": "siglip2", "decoder": "rae"}, "the kind.*channels 64, not 32"),
        ({"path": "rae_encoder", "decoder": "rae", "layers": 1}, "layer 2, not layer 1"),
        ({"path": "rae_encoder", "decoder": "rae", "image_pixels": 48}, "a side of 4, not 6"),
        (
            {"path": "rae_encoder", "decoder": "sd_vae"},
            "of class AutoencoderKL; a decoder of pictures",
        ),
        ({"path": "rae", "decoder": "rae"}, "brings its decoder"),
        ({"path": "rae", "layers": 1}, "layers = 1 does not go with"),
        ({"path": "rae", "image_pixels": 40}, "image_pixels = 40 does not go with"),
        ({"path": "dinov2", "layers": 4}, "layers = 4, but .* has 3 layers"),
        ({"path": "dinov2", "image_pixels": 30}, "30 is not a multiple of the 8 pixels"),
        (
            {"path": "sd_vae"},
            "is of class AutoencoderKL, no vision model; set kind = 'vae'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    published: Published, settings: dict[str, Any], complaint: str
) -> None:
    for name in ("path", "decoder"):
        if name in settings:
            settings = settings | {name: str(published(settings[name]))}
    with pytest.raises(UserError, match=complaint):
        open_tokenizer(RaeSettings(**settings))
