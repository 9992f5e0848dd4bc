"""A tiny random model over a tiny rendered world: the real classes throughout."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from chiasm.data.kinds import ImageTextSettings, TextSettings
from chiasm.data.recorded import RecordedSettings
from chiasm.data.source import Opening, SourceSettings
from chiasm.data.sources import open_sources
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Split
from chiasm.evaluation.material import Material
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.flow import FlowSettings
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.walks import WalkDocuments
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.vision.pixels import pixel_tokenizer
from chiasm.worlds.render import render_worlds
from chiasm.worlds.settings import TASKS, WorldSettings
from chiasm.worlds.sources import WorldSource

ROW_POSITIONS = 160


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """All five tasks of six training and four held-out maps."""
    settings = WorldSettings(
        train_maps=6, held_out_maps=4, views_per_map=10, walks_per_map=2, image_pixels=32
    )
    cache = tmp_path_factory.mktemp("worlds")
    sources = {}
    for split in Split:
        world = render_worlds(settings, split, cache, num_processes=1)
        sources[split] = {task: WorldSource(world, task) for task in TASKS}
    return Material(sources[Split.TRAIN], sources[Split.HELD_OUT])


@pytest.fixture(scope="session")
def text_tokenizer(material: Material) -> TextTokenizer:
    texts = [source[n].text for source in material.train.values() for n in range(20)]
    return TextTokenizer.train(texts, 400)


@pytest.fixture(scope="session")
def pretrained(text_tokenizer: TextTokenizer) -> Pretrained:
    """Random weights, large enough that every input matters."""
    tokenizers = StreamTokenizers({"image": pixel_tokenizer(image_pixels=32, patch_pixels=16)})
    decoder = Decoder(
        ModelSettings(width=32, depth=1, query_heads=2, key_value_heads=1),
        vocabulary=text_tokenizer.vocabulary_size,
        streams=tokenizers.streams,
        seed=0,
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    decoder.eval().requires_grad_(False)
    return Pretrained(
        decoder,
        text_tokenizer,
        tokenizers,
        FlowSettings(),
        ROW_POSITIONS,
        walks=WalkDocuments(views=4),
    )


@pytest.fixture(scope="session")
def settings() -> EvaluationSettings:
    return EvaluationSettings(
        text_documents=12,
        ngram_documents=30,
        flow_documents=4,
        probe_frames=40,
        drawings=6,
        questions=16,
        next_views=6,
        rollouts=4,
        rollout_horizons=(1, 2, 16),
        steps=2,
        answer_tokens=2,
        continuation_tokens=8,
        shown=4,
    )


def material_of(settings: dict[str, SourceSettings], sequence_length: int) -> Material:
    """Both sides of some sources."""
    opened = open_sources(settings, Opening(sequence_length))
    return Material(*({name: each.side(side) for name, each in opened.items()} for side in Split))


@pytest.fixture
def folder_material(tmp_path: Path) -> Material:
    """A user's own captions and texts, without ground truth."""
    pictures, texts = tmp_path / "pictures", tmp_path / "texts"
    pictures.mkdir()
    texts.mkdir()
    rng = np.random.default_rng(0)
    lines = ["file_name,text"]
    for number in range(24):
        pixels = rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)
        PillowImage.fromarray(pixels).save(pictures / f"{number}.png")
        lines.append(f"{number}.png,picture number {number} of a square")
    (pictures / "metadata.csv").write_text("\n".join(lines) + "\n")
    book = "\n\n".join(f"Line {n} of a book, as long as a line. And one more." for n in range(60))
    (texts / "book.txt").write_text(book)
    settings = {
        "emoji": ImageTextSettings(path=str(pictures), held_out_fraction=0.4),
        "books": TextSettings(path=str(texts), document_characters=80, held_out_fraction=0.5),
    }
    return material_of(settings, ROW_POSITIONS)


@pytest.fixture
def recorded(tmp_path: Path) -> Material:
    """Four straight walks of eight frames at paces of their own, half of them held out."""
    rng = np.random.default_rng(0)
    for number in range(4):
        folder = tmp_path / f"walk_{number}"
        folder.mkdir()
        for k in range(8):
            pixels = rng.integers(0, 255, (24, 40, 3), dtype=np.uint8)
            PillowImage.fromarray(pixels).save(folder / f"{k}.png")
        content = {
            "position": [[number + (0.5 + 0.1 * number) * k, 0] for k in range(8)],
            "yaw": [0] * 8,
        }
        (folder / "traj_data.json").write_text(json.dumps(content))
    settings = RecordedSettings(task="action_video", path=str(tmp_path), held_out_fraction=0.5)
    return material_of({"walks": settings}, 160)
