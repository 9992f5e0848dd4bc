import pytest
import torch

from chiasm.errors import UserError
from chiasm.rgb import ImageShape
from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.vision.kinds import ViTDecoderSettings
from chiasm.vision.tokenizer import seeded
from chiasm.vision.vit import ViTDecoder

NEUTRAL = LatentStatistics.neutral(5, 0.0, 1.0, "nothing", "none")


def settings(**given) -> ViTDecoderSettings:
    small = {"kind": "vit", "width": 16, "depth": 1, "heads": 2, "patch_pixels": 8}
    return ViTDecoderSettings.model_validate(small | given)


@pytest.mark.parametrize("patch", [16, 8, 4])
def test_each_latent_token_draws_its_own_cell(patch) -> None:
    decoder = seeded(0, settings(patch_pixels=patch).build, ImageShape(32, 48, 2, 3), NEUTRAL)
    assert isinstance(decoder, ViTDecoder)
    for block in decoder.blocks:  # without attention nothing may reach another cell
        torch.nn.init.zeros_(block.from_heads.weight)
        torch.nn.init.zeros_(block.from_heads.bias)
    latents = torch.randn(1, 6, 5, generator=torch.Generator().manual_seed(0))
    changed = latents.clone()
    changed[0, 4] += 1  # second row, second column
    before, after = decoder(latents), decoder(changed)
    assert before.shape == (1, 3, 32, 48)
    moved = (before != after).any(dim=1)[0]
    assert moved[16:, 16:32].all()
    moved[16:, 16:32] = False
    assert not moved.any()


def test_attention_reaches_every_cell() -> None:
    decoder = seeded(0, settings().build, ImageShape(32, 32, 2, 2), NEUTRAL)
    latents = torch.randn(1, 4, 5, generator=torch.Generator().manual_seed(0))
    changed = latents.clone()
    changed[0, 0] += 1
    assert (decoder(latents) != decoder(changed)).float().mean() > 0.9


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="heads = 3 does not divide width = 16"):
        settings(heads=3)


@pytest.mark.parametrize(
    ("patch", "shape"),
    [(16, ImageShape(224, 224, 16, 16)), (8, ImageShape(32, 64, 2, 2))],
    ids=["14 pixels", "not square"],
)
def test_cells_that_are_no_whole_patches_are_refused(patch, shape) -> None:
    with pytest.raises(UserError, match=rf"^patch_pixels = {patch} does not divide"):
        settings(patch_pixels=patch).build(shape, NEUTRAL)
