"""A small random model whose next view depends on all that it is shown."""

import pytest
import torch

from chiasm.data.tokenizer import TextTokenizer
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.sampler import Sampler
from chiasm.model import Decoder, ModelSettings
from chiasm.training.objective import ObjectiveSettings
from chiasm.vision.pixels import PixelTokenizer
from chiasm.worlds import Split, WorldSettings, WorldSource, render_worlds


@pytest.fixture(scope="session")
def sampler() -> Sampler:
    """Pictures of 8 x 8 pixels are 2 x 2 latent tokens."""
    text = TextTokenizer.train(["action: dx=+1.00 dy=-0.25 dyaw=+20", "view"], 300)
    vision = PixelTokenizer(image_pixels=8, patch_pixels=4)
    settings = ModelSettings(width=32, depth=2, query_heads=4, key_value_heads=2)
    decoder = Decoder(
        settings, vocabulary=text.vocabulary_size, latent_channels=vision.channels, seed=0
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.15 * torch.randn(parameter.shape, generator=generator))
    objective = ObjectiveSettings(prediction="x", shift=2.0)
    model = Pretrained(decoder.eval().requires_grad_(False), text, vision, objective, 400)
    return Sampler(model)


@pytest.fixture(scope="session")
def walks(tmp_path_factory: pytest.TempPathFactory) -> dict[Split, WorldSource]:
    """Walks of the embedded world; the held-out maps fill more than one archive."""
    settings = WorldSettings(
        train_maps=4,
        held_out_maps=9,
        views_per_map=0,
        walks_per_map=2,
        frames_per_walk=6,
        image_pixels=32,
    )
    cache = tmp_path_factory.mktemp("worlds")
    return {
        split: WorldSource(render_worlds(settings, split, cache), "action_video") for split in Split
    }
