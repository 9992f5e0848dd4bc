"""Which pictures of a gallery are encoded for which part."""

from pathlib import Path

import pytest
import torch

from chiasm.documents import Split
from chiasm.vision.cached.encoding import encode_gallery
from chiasm.vision.cached.gallery import gallery_of
from chiasm.vision.cached.layout import latent_places, open_latents
from chiasm.vision.dual import DualTokenizer
from chiasm.vision.pixels import PixelTokenizer
from chiasm.worlds.render import render_worlds
from chiasm.worlds.settings import WorldSettings
from chiasm.worlds.sources import WorldSource
from chiasm.worlds.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    settings = WorldSettings(train_maps=1, held_out_maps=1, views_per_map=6, walks_per_map=1)
    return render_worlds(settings, Split.TRAIN, tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize(
    ("tasks", "seen", "drawn"),
    [
        (["video"], False, True),
        (["vqa"], True, False),
        (["vqa", "video"], True, True),
        (["image_text"], True, True),
        (["action_video"], True, True),
    ],
)
def test_frames_are_encoded_for_the_parts_that_sources_show_them_as(
    world: World, tmp_path: Path, tasks: list[str], seen: bool, drawn: bool
) -> None:
    tokenizer = DualTokenizer(target=PixelTokenizer(8, 4), context=PixelTokenizer(12, 4))
    sources = {task: WorldSource(world, task) for task in tasks}
    manifests = [
        encode_gallery(
            gallery_of(sources).playing(place.parts),
            place.tokenizer,
            place.folder,
            device=torch.device("cpu"),
        )
        for place in latent_places(tmp_path, tokenizer, "out")
    ]
    counts = [sum(shard.pictures for shard in manifest.shards) for manifest in manifests]
    assert counts == [len(world.frames) * seen, len(world.frames) * drawn]
    read = open_latents(tmp_path, tokenizer)
    images = [i for each in sources.values() for n in range(len(each)) for i in each[n].images]
    for image in images:
        assert read(image).shape == ((4, 48) if image.target else (9, 48))
