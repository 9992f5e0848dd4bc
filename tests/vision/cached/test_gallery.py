"""Which pictures of a gallery are encoded for which stream."""

from pathlib import Path

import pytest
import torch

from chiasm.batch.slots import RawLatents
from chiasm.documents import Split
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.vision.cached.encoding import Encoding
from chiasm.vision.cached.gallery import gallery_of
from chiasm.vision.cached.items import CachedItems
from chiasm.vision.pixels import pixel_tokenizer
from chiasm.worlds.render import render_worlds
from chiasm.worlds.settings import WorldSettings
from chiasm.worlds.sources import WorldSource
from chiasm.worlds.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    settings = WorldSettings(train_maps=1, held_out_maps=1, views_per_map=6, walks_per_map=1)
    return render_worlds(settings, Split.TRAIN, tmp_path_factory.mktemp("world"))


@pytest.mark.slow
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
def test_frames_are_encoded_for_the_streams_that_read_them(
    world: World, tmp_path: Path, tasks: list[str], seen: bool, drawn: bool
) -> None:
    tokenizers = StreamTokenizers(
        {"seen": pixel_tokenizer(12, 4), "image": pixel_tokenizer(8, 4)}, {"seen": "image"}
    )
    sources = {task: WorldSource(world, task) for task in tasks}
    manifests = [
        Encoding(
            gallery_of(sources).playing(tokenizers.streams.roles(name)), own, tmp_path / name
        ).run(torch.device("cpu"))
        for name, own in tokenizers.items()
    ]
    counts = [sum(shard.pictures for shard in manifest.shards) for manifest in manifests]
    assert counts == [len(world.frames) * seen, len(world.frames) * drawn]
    reader = CachedItems(tokenizers, {name: str(tmp_path / name) for name in tokenizers})
    images = [i for each in sources.values() for n in range(len(each)) for i in each[n].images]
    for image in images:
        found = reader.read(image)
        assert isinstance(found, RawLatents)
        assert found.raw_PC.shape == ((4, 48) if image.target else (9, 48))
