"""A tiny random model over a tiny rendered world: the real classes throughout."""

import json
from collections.abc import Callable
from functools import partial
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
from chiasm.data.video_files import VideoSettings
from chiasm.documents import Document, Image, Sound, Split, Text
from chiasm.evaluation.material import Material
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.flow import FlowSettings
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.walks import WalkDocuments
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.sound.mel import mel_tokenizer
from chiasm.sound.settings import MelShape
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.vision.pixels import pixel_tokenizer
from chiasm.waveform import Waveform
from chiasm.worlds.instructions.rendered import render_instructions
from chiasm.worlds.instructions.settings import InstructionSettings
from chiasm.worlds.instructions.source import InstructionSource
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
    images = pixel_tokenizer(image_pixels=32, patch_pixels=16)
    return random_model(text_tokenizer, StreamTokenizers({"image": images}))


def random_model(text_tokenizer: TextTokenizer, tokenizers: StreamTokenizers) -> Pretrained:
    """A model of random weights, large enough that every input matters."""
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


RATE = 8000


class Rooms:
    """Walks through rooms of five maps, six frames each, in which one thing rings left or right;
    every fifth frame has a second one. A picture shows it as a light on its side."""

    scattered = True
    frames_per_map = 6

    def __init__(self, task: str, held_out: bool) -> None:
        self.name, self._task, self._first = task, task, 5 * held_out
        rng = np.random.default_rng(held_out)
        self._side = rng.integers(0, 2, self.num_frames)
        self._what = rng.integers(0, 2, self.num_frames)
        self._turns = rng.integers(-1, 2, self.num_frames)
        self._loud = rng.uniform(0.3, 0.6, self.num_frames)

    @property
    def num_frames(self) -> int:
        return 5 * self.frames_per_map

    @property
    def walks(self) -> list[range]:
        count = self.frames_per_map
        return [range(count * n, count * (n + 1)) for n in range(5)]

    def __len__(self) -> int:
        return 2 * self.num_frames

    def frame_of(self, index: int) -> int:
        return 7 * index % self.num_frames

    def place_of(self, frame: int) -> int:
        return self._first + frame // self.frames_per_map

    def cluster_of(self, index: int) -> int:
        return self.place_of(self.frame_of(index))

    def picture(self, frame: int) -> Image:
        pixels = np.full((32, 32, 3), 40 + 10 * self.place_of(frame), np.uint8)
        left = 16 * int(self._side[frame])
        pixels[8:24, left : left + 16, self._what[frame]] = 250
        return Image(pixels, target=False)

    def sound(self, frame: int) -> Sound:
        tone = np.sin(np.arange(800) * (0.3, 0.9)[self._what[frame]]) * self._loud[frame]
        ears = np.array([[1.0], [0.1]])[:: 1 - 2 * int(self._side[frame])]
        return Sound(Waveform((ears * tone).astype(np.float32), RATE), target=False)

    def heard(self, frame: int) -> dict[str, str]:
        if frame % 5 == 4:
            return {}
        side, what = ("left", "right")[self._side[frame]], ("hum", "bell")[self._what[frame]]
        return {"what": what, "side": side}

    def action(self, before: int, after: int) -> str:
        turn = 20 * int(self._turns[before])
        return f"action: dx=+1.00 dy=+0.00 dyaw={turn:+d}"

    def __getitem__(self, index: int) -> Document:
        frame = self.frame_of(index)
        view, sound = self.picture(frame), self.sound(frame)
        if self._task == "rooms":
            asked = Image(view.data, target=True), Sound(sound.data, target=True)
            if index % 2:
                return Document((view, Text("sound:"), asked[1]))
            return Document((sound, Text("picture:"), asked[0]))
        after = frame + 1 if frame % self.frames_per_map < self.frames_per_map - 1 else frame
        seen = Image(self.picture(after).data, target=True)
        heard = Sound(self.sound(after).data, target=True)
        return Document((view, sound, Text(self.action(frame, after)), seen, heard))


@pytest.fixture(scope="session")
def rooms() -> Callable[..., Rooms]:
    return partial(Rooms, "rooms")


@pytest.fixture(scope="session")
def sounding() -> Material:
    """Both tasks of walks that sound."""
    return Material(
        *(
            {task: Rooms(task, held_out=held_out) for task in ("rooms", "steps")}
            for held_out in (False, True)
        )
    )


@pytest.fixture(scope="session")
def hearing_model(sounding: Material) -> Pretrained:
    """As ``pretrained``, with a stream of sounds of two ears."""
    shape = MelShape(rate=RATE, seconds=0.1, channels=2, hop_samples=100, mels=16)
    sounds = mel_tokenizer(shape)
    heard = (sounding.train["rooms"].sound(n).samples(RATE, 2) for n in range(30))
    sounds.measure([torch.from_numpy(np.stack([*heard]))], data="rooms")
    images = pixel_tokenizer(image_pixels=32, patch_pixels=16)
    texts = [source[n].text for source in sounding.train.values() for n in range(20)]
    text = TextTokenizer.train(texts, 300, streams=["sound"])
    return random_model(text, StreamTokenizers({"image": images, "sound": sounds}))


@pytest.fixture(scope="session")
def spoken_source(tmp_path_factory: pytest.TempPathFactory) -> InstructionSource:
    """Held-out instructions on three maps."""
    world = WorldSettings(train_maps=1, held_out_maps=3, image_pixels=32)
    few = InstructionSettings(walks_per_map=4, steps=(2, 5))
    cache = tmp_path_factory.mktemp("walks")
    walks = render_instructions(world, few, Split.HELD_OUT, cache, num_processes=1)
    return InstructionSource(walks)


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
        crossings=6,
        next_sounds=6,
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


@pytest.fixture
def filmed(films, tmp_path):
    """Both sides of six films of two clips each, three of them held out."""

    def opened(task="captioned_video", still=False, captions="film number {}", **more):
        for side, numbers in (("train", (0, 1, 2)), ("other", (3, 4, 5))):
            folder, lines = tmp_path / side, []
            folder.mkdir(exist_ok=True)
            for number in numbers:
                first = 100 * number
                shown = [first] * 60 if still else range(first, first + 60)
                frames, path = map(films._frame, shown), folder / f"{number}.mkv"
                films.write(path, frames, codec="ffv1", sound="sound" in more)
                lines.append({"video": path.name, "caption": captions.format(number)})
            (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
        paths = {"path": str(tmp_path / "train"), "held_out_path": str(tmp_path / "other")}
        settings = VideoSettings(task=task, frames=5, **paths, **more)
        return material_of({"films": settings}, ROW_POSITIONS)

    return opened
