"""Small sources and a small tokenizer for the stream's tests."""

from __future__ import annotations

import io
import json
import math
import os
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image as PillowImage
from torch import Tensor

import chiasm.data.index
from chiasm.batch.streams import Streams, StreamShape
from chiasm.data.cameras import CameraPoses, GroundWalk, axes_matrix
from chiasm.data.kinds import TextSettings
from chiasm.data.pictures import decode_picture
from chiasm.data.settings import StreamSettings
from chiasm.data.source import SOURCES, Opened, Opening
from chiasm.data.sources import open_sources
from chiasm.data.stream import Stream
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Continuous, Document, Image, Source, Text
from chiasm.errors import UserError
from chiasm.rgb import ImageShape

sys.path.insert(0, str(Path(__file__).parent))  # of modules that several tests share

# Before tests import it: they wait as long, and the clock of a disk is finer than this.
chiasm.data.index.SETTLED_NS = 50_000_000

SHAPE = ImageShape(height_pixels=8, width_pixels=8, rows=1, columns=3)
WORDS = ("the", "wall", "is", "brick", "and", "floor", "grass", "27", "lamps", "left", "door")


class PictureReader:
    """Reads pictures of the given size and grid by stream, without a tokenizer."""

    def __init__(self, shapes: Mapping[str, ImageShape], **context_of: str) -> None:
        self.shapes = shapes
        self.streams = Streams(
            tuple(
                StreamShape(name, "vision", (own.rows, own.columns), 1, context_of.get(name, ""))
                for name, own in shapes.items()
            )
        )

    def grid(self, item: Continuous) -> tuple[int, ...]:
        return self.streams.reading(item.stream, item.target).grid

    def read(self, item: Continuous) -> Tensor:
        assert isinstance(item, Image)
        stream = self.streams.reading(item.stream, item.target).name
        return decode_picture(item, self.shapes[stream])


READER = PictureReader({"image": SHAPE})


def make_picture(seed: int, size: tuple[int, int] = (8, 8)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def picture_file(seed: int, size: tuple[int, int] = (8, 8)) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(make_picture(seed, size)).save(file, "PNG")
    return file.getvalue()


@dataclass
class Listed:
    """A source of given documents; the indices in ``unreadable`` raise."""

    name: str
    documents: list[Document]
    unreadable: frozenset[int] = frozenset()
    read: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.documents)

    def __getitem__(self, index: int) -> Document:
        self.read.append(index)
        if index in self.unreadable:
            raise UserError(f"no document {index}")
        return self.documents[index]


def sentence(random: np.random.Generator, most: int = 9) -> str:
    return " ".join(random.choice(WORDS, random.integers(1, most)))


def make_texts(seed: int, number: int) -> list[Document]:
    random = np.random.default_rng(seed)
    return [Document((Text(f"story: {sentence(random)}"),)) for _ in range(number)]


def make_pairs(seed: int, number: int) -> list[Document]:
    random = np.random.default_rng(seed)
    documents = []
    for index in range(number):
        data = make_picture(index) if index % 3 else picture_file(index)
        if index % 2:
            spans = (Text(f"picture: {sentence(random)}"), Image(data, target=True))
        else:
            spans = (Image(data, target=False), Text(f"caption: {sentence(random)}"))
        documents.append(Document(spans))
    return documents


def make_videos(seed: int, number: int) -> list[Document]:
    random = np.random.default_rng(seed)
    return [
        Document(
            (
                Text("video:"),
                *(Image(make_picture(k), target=True) for k in range(random.integers(1, 5))),
            )
        )
        for _ in range(number)
    ]


def json_lines(rows: Iterable[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def write_files(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """A folder of files by their relative names; it is returned."""
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def write_tar(path: Path, members: Iterable[tuple[str, str | bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            data = content if isinstance(content, bytes) else content.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def edit_unseen(file: Path, content: bytes) -> None:
    """Another content of the same size under the old time stamps."""
    before = file.stat()
    assert len(content) == before.st_size
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def open_source(path: Path | str, kind: str = "image_text", **settings: object) -> Opened:
    named = {"mine": SOURCES.of(kind).model_validate({"path": str(path), **settings})}
    return open_sources(named, Opening(40))["mine"]


def documents_of(source: Source) -> list[Document]:
    return [source[number] for number in range(len(source))]


def captions_of(opened: Opened) -> list[str]:
    """What is said of pictures on both sides, sorted."""
    documents = [*documents_of(opened.train), *documents_of(opened.held_out)]
    texts = [d.text for d in documents if isinstance(d.spans[0], Image)]
    return sorted(text.removeprefix("caption: ") for text in texts)


def words_of(opened: Opened) -> list[str]:
    """The texts of the documents of both sides, sorted."""
    return sorted(d.text for side in (opened.train, opened.held_out) for d in documents_of(side))


def contents_of(source: Source) -> set[bytes]:
    """The files of a source's pictures."""
    found = (image.data for document in documents_of(source) for image in document.images)
    return {data if isinstance(data, bytes) else data.read_bytes() for data in found}


def write_shards(folder: Path, *counts: int) -> None:
    """Tars of so many samples each; pictures and captions are numbered through."""
    begin = 0
    for shard, count in enumerate(counts):
        numbers = range(begin, begin := begin + count)
        members: list[tuple[str, str | bytes]] = [(f"{k}.png", picture_file(k)) for k in numbers]
        members += [(f"{k}.txt", f"{k}") for k in numbers]
        write_tar(folder / f"{shard:03}.tar", members)


@dataclass(frozen=True)
class Made:
    """What the tests build from, handed to them by the fixture ``made``."""

    tokenizer: TextTokenizer
    shape: ImageShape = SHAPE
    reader: PictureReader = READER
    Reader = PictureReader
    Listed = Listed
    picture = staticmethod(make_picture)
    picture_file = staticmethod(picture_file)
    texts = staticmethod(make_texts)
    pairs = staticmethod(make_pairs)
    videos = staticmethod(make_videos)
    json_lines = staticmethod(json_lines)
    files = staticmethod(write_files)
    tar = staticmethod(write_tar)
    edit_unseen = staticmethod(edit_unseen)
    open = staticmethod(open_source)
    documents = staticmethod(documents_of)
    captions = staticmethod(captions_of)
    words = staticmethod(words_of)
    contents = staticmethod(contents_of)
    shards = staticmethod(write_shards)

    @staticmethod
    def three_sources() -> dict[str, Source]:
        return {
            "text": Listed("text", make_texts(1, 11)),
            "image_text": Listed("image_text", make_pairs(2, 7)),
            "video": Listed("video", make_videos(3, 5)),
        }

    def stream(self, sources: dict[str, Source], **settings: object) -> Stream:
        """A stream of small rows; keywords are settings, or seed, rank, num_ranks, weights."""
        ranks = {key: settings.pop(key) for key in ("rank", "num_ranks") if key in settings}
        weights = settings.pop("weights", {})
        seed = settings.pop("seed", 3)
        assert isinstance(weights, dict)
        named = {name: TextSettings(weight=weights.get(name, 1.0)) for name in sources}
        small = {"sequence_length": 40, "batch_size": 2, "lanes": 2, "rows_packed_together": 3}
        merged = StreamSettings.model_validate({"sources": named, **small, **settings})
        return Stream(merged, sources, self.tokenizer, self.reader, seed, **ranks)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def made() -> Made:
    random = np.random.default_rng(0)
    texts = [sentence(random) for _ in range(200)] + ["story: caption: picture: video: \n"] * 20
    return Made(TextTokenizer.train(texts, 340))


@pytest.fixture
def pictures() -> Callable[..., dict[str, bytes]]:
    """Names and contents of different pictures."""
    return lambda *names: {name: picture_file(number) for number, name in enumerate(names)}


def about(axis: int, angle_T: np.ndarray) -> np.ndarray:
    """Rotations [T, 3, 3] about an axis of (ahead, left, up)."""
    one, other = (axis + 1) % 3, (axis + 2) % 3
    rotation_T33 = np.tile(np.eye(3), (len(angle_T), 1, 1))
    rotation_T33[:, one, one] = rotation_T33[:, other, other] = np.cos(angle_T)
    rotation_T33[:, other, one] = np.sin(angle_T)
    rotation_T33[:, one, other] = -np.sin(angle_T)
    return rotation_T33


def walk(seed: int, length: int = 60, pitch_degrees: float = 0.0) -> GroundWalk:
    """Somebody goes where they look, turning both ways, and sways a little."""
    rng = np.random.default_rng(seed)
    # Turns of a hundred degrees or more one way and the other, in all.
    turn_T = 0.05 * np.sin(np.arange(length) / 6 + rng.uniform(0, 6)) + rng.uniform(0.01, 0.05)
    yaw_T = rng.uniform(-3, 3) + turn_T.cumsum()
    sway = rng.normal(0, 0.01, (2, length))
    pitch_T = math.radians(pitch_degrees) + sway[0]
    rotation_T33 = about(2, yaw_T) @ about(1, pitch_T) @ about(0, sway[1])
    step_T2 = rng.uniform(0.02, 0.1, length)[:, None] * np.stack([np.cos(yaw_T), np.sin(yaw_T)], 1)
    height_T = 1.5 + 0.01 * rng.normal(size=length)
    position_T3 = np.column_stack([step_T2.cumsum(0) - step_T2, height_T])
    return GroundWalk(position_T3, rotation_T33)


def quaternions(rotation_T33: np.ndarray) -> np.ndarray:
    """[T, 4] x, y, z, w: the eigenvector of Bar-Itzhack's matrix, either sign."""
    found = []
    for r in rotation_T33:
        matrix = np.array(
            [
                [r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0], 0],
                [0, r[1, 1] - r[0, 0] - r[2, 2], r[1, 2] + r[2, 1], 0],
                [0, 0, r[2, 2] - r[0, 0] - r[1, 1], 0],
                [0, 0, 0, np.trace(r)],
            ]
        )
        matrix[:3, 3] = r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]
        found.append(np.linalg.eigh(matrix, UPLO="U")[1][:, -1])
    return np.array(found)


def recorded(
    truth: GroundWalk, camera: str, world: str, as_quaternions: bool = False
) -> CameraPoses:
    """A walk as a recorder with these axes would write it."""
    c, w = axes_matrix(camera), axes_matrix(world)
    rotation_T33 = w.T @ truth.rotation_T33 @ c
    orientation = quaternions(rotation_T33) if as_quaternions else rotation_T33
    return CameraPoses(truth.position_T3 @ w, orientation)


class WalksInSpace:
    """The functions above, handed to tests by the fixture ``in_space``."""

    about = staticmethod(about)
    walk = staticmethod(walk)
    recorded = staticmethod(recorded)


@pytest.fixture(scope="session")
def in_space() -> WalksInSpace:
    return WalksInSpace()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are prepared in a folder of the test's own, not in the user's cache."""
    prepared = tmp_path_factory.mktemp("prepared")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", prepared)


@pytest.fixture
def guarded() -> Iterator[Path]:
    """A folder in which permissions count, also for tests that run as root."""
    was = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        try:
            if was == 0:
                os.seteuid(65534)
            yield Path(folder)
        finally:
            os.seteuid(was)
