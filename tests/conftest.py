"""A naive packer: the reference that model and objective are tested on; a small world model; a
recipe of files that trains in a second; a cluster of this machine; video files.

A document is a list of spans; a span is a list of token numbers, a :class:`Picture` or a
:class:`Series`.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import pytest
import soundfile
import torch
from PIL import Image as PillowImage
from torch import Tensor

from chiasm.batch.packed import NO_LABEL, NOBODY, PackedBatch
from chiasm.batch.slots import Slots
from chiasm.batch.streams import Streams, StreamShape
from chiasm.data.tokenizer import Marks, TextTokenizer
from chiasm.flow import FlowSettings
from chiasm.inference.pretrained import Pretrained
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.toml import as_toml, load_toml
from chiasm.vision.pixels import pixel_tokenizer

sys.path.insert(0, str(Path(__file__).parent / "processes"))

from chromium import BROWSERS, Browser, find_browser
from nursery import Forked, open_nursery

PAD, BOD, EOD = range(3)
FIRST_TEXT, END_TEXT = 6, 40
MARKS = {"image": Marks(3, 4, 5), "series": Marks(40, 41, 42)}
"""Those of further streams lie behind the text, where a tokenizer adds them."""

VOCABULARY = 43
STREAMS = Streams(
    (
        StreamShape("image", "vision", (2, 3), channels=4),
        StreamShape("series", "motion", (4,), channels=3),
    )
)
PADDING, TEXT = 0, 1
MODALITIES = {"image": 2, "series": 3}


@dataclass(frozen=True)
class Picture:
    rows: int = 2
    columns: int = 3
    target: bool = True
    dropped: bool = False
    stream: ClassVar = "image"

    @property
    def grid(self) -> tuple[int, ...]:
        return self.rows, self.columns


@dataclass(frozen=True)
class Series:
    steps: int = 4
    target: bool = True
    dropped: bool = False
    stream: ClassVar = "series"

    @property
    def grid(self) -> tuple[int, ...]:
        return (self.steps,)


Item = Picture | Series
Spans = list["list[int] | Item"]


@dataclass
class _Row:
    """One row being written, field by field."""

    ids: list[int] = field(default_factory=list)
    label: list[int] = field(default_factory=list)
    modality: list[int] = field(default_factory=list)
    position: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    document: list[int] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    items: list[tuple[int, Item, int]] = field(default_factory=list)

    def put(self, token: int, modality: int, document: int, source: int, first: int) -> None:
        here = len(self.ids)
        self.ids.append(token)
        self.label.append(NO_LABEL)
        self.modality.append(modality)
        begin = self.document.index(document) if document in self.document else here
        self.position.append(here - begin)
        self.first.append(begin if first < 0 else first)
        self.last.append(here)
        self.document.append(document)
        self.source.append(source)

    def add(self, spans: Spans, document: int, source: int) -> None:
        def text(token: int, first: int = -1) -> None:
            self.put(token, TEXT, document, source, first)

        begin = len(self.ids)
        text(BOD)
        for span in spans:
            if isinstance(span, list):
                for token in span:
                    text(token)
                continue
            marks = MARKS[span.stream]
            first = len(self.ids) if span.dropped else -1
            text(marks.begin, first)
            start, num_tokens = len(self.ids), prod(span.grid)
            for _ in range(num_tokens):
                self.put(marks.fill, MODALITIES[span.stream], document, source, first)
                self.last[-1] = start + num_tokens - 1
            self.items.append((start, span, source))
            text(marks.end)
        text(EOD)
        begins, ends = ({marks[at] for marks in MARKS.values()} for at in (0, 1))
        for here in range(begin, len(self.ids) - 1):
            both = self.modality[here] == self.modality[here + 1] == TEXT
            if both and self.ids[here] not in begins and self.ids[here + 1] not in ends:
                self.label[here] = self.ids[here + 1]

    def fill(self, num_positions: int) -> None:
        assert len(self.ids) <= num_positions, "the test's documents do not fit its row"
        while len(self.ids) < num_positions:
            here = len(self.ids)
            self.put(PAD, PADDING, NOBODY, NOBODY, here)
            self.position[-1] = 0


def pack(
    rows: Sequence[Sequence[Spans]],
    num_positions: int,
    *,
    source_of: Callable[[int, int], int] = lambda row, document: document % 2,
    numbers: Sequence[int] | None = None,
) -> PackedBatch:
    """Lay documents into rows exactly as told; ``numbers`` are the rows' numbers in lane 0."""
    written = []
    for number, documents in enumerate(rows):
        row = _Row()
        for document, spans in enumerate(documents):
            row.add(spans, document, source_of(number, document))
        row.fill(num_positions)
        written.append(row)

    def table(name: str) -> Tensor:
        return torch.tensor([getattr(row, name) for row in written], dtype=torch.int64)

    batch = PackedBatch(
        ids_BT=table("ids"),
        label_BT=table("label"),
        modality_BT=table("modality"),
        position_BT=table("position"),
        first_BT=table("first"),
        last_BT=table("last"),
        document_BT=table("document"),
        source_BT=table("source"),
        slots={shape.name: slots_of(shape, written, num_positions) for shape in STREAMS},
        streams=STREAMS,
        lane_B=torch.zeros(len(rows), dtype=torch.int64),
        number_B=column(list(numbers) if numbers is not None else list(range(len(rows)))),
        source_names=("even", "odd"),
    )
    batch.validate()
    return batch


def slots_of(shape: StreamShape, written: Sequence[_Row], num_positions: int) -> Slots:
    """The items of one stream; unlike those of a tokenizer, each may have a grid of its own."""
    found = [
        (b, start, item, source)
        for b, row in enumerate(written)
        for start, item, source in row.items
        if item.stream == shape.name
    ]
    return Slots(
        row_N=column([b for b, *_ in found]),
        start_N=column([start for _, start, *_ in found]),
        grid_NA=column([item.grid for *_, item, _ in found]).reshape(-1, len(shape.grid)),
        target_N=column([item.target for *_, item, _ in found]).bool(),
        dropped_N=column([item.dropped for *_, item, _ in found]).bool(),
        source_N=column([source for *_, source in found]),
        sequence_length=num_positions,
        items=tuple(torch.zeros(3, 2, 2, dtype=torch.uint8) for _ in found),
    )


def column(values: list) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


def random_document(random: np.random.Generator, max_spans: int = 4) -> Spans:
    """Spans of text (possibly empty), pictures and series of several grids, roles, conditions."""
    spans: Spans = []
    for _ in range(int(random.integers(1, max_spans + 1))):
        if random.random() < 0.5:
            spans.append(random.integers(FIRST_TEXT, END_TEXT, random.integers(0, 9)).tolist())
            continue
        rows, columns = random.integers(1, 4, 2).tolist()
        target = bool(random.random() < 0.7)
        dropped = bool(target and random.random() < 0.3)
        if random.random() < 0.6:
            spans.append(Picture(rows, columns, target=target, dropped=dropped))
        else:
            spans.append(Series(rows + columns, target=target, dropped=dropped))
    return spans


def length(spans: Spans) -> int:
    """Positions that a document takes."""
    return 2 + sum(len(span) if isinstance(span, list) else prod(span.grid) + 2 for span in spans)


def random_rows(random: np.random.Generator, num_rows: int, num_positions: int) -> list:
    """Rows of random documents, each filled until one does not fit."""
    rows = []
    for _ in range(num_rows):
        row, used = [], 0
        while used + length(spans := random_document(random)) <= num_positions:
            row.append(spans)
            used += length(spans)
        rows.append(row)
    return rows


def latents(batch: PackedBatch, seed: int = 0) -> dict[str, Tensor]:
    """Standard normal latents [L, C] of each stream's items."""
    generator = torch.Generator().manual_seed(seed)
    return {
        shape.name: torch.randn(
            len(batch.slots[shape.name].item_L), shape.channels, generator=generator
        )
        for shape in STREAMS
    }


def times(batch: PackedBatch, seed: int | None = None) -> dict[str, Tensor]:
    """Flow times [N] of each stream's items: 1, that of data, or uniform ones of a seed."""
    generator = torch.Generator().manual_seed(seed or 0)
    return {
        name: torch.ones(len(own)) if seed is None else torch.rand(len(own), generator=generator)
        for name, own in batch.slots.items()
    }


def build_decoder(noise: float = 0.0, seed: int = 0, **settings: object) -> Decoder:
    """Two blocks of width 32 for the streams above.

    Parameters that begin at zero would hide what flows through them: ``noise`` moves them all.
    """
    shape = {"width": 32, "depth": 2, "query_heads": 4, "key_value_heads": 2} | settings
    decoder = Decoder(ModelSettings(**shape), vocabulary=VOCABULARY, streams=STREAMS, seed=seed)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter += noise * torch.randn(parameter.shape, generator=generator)
    return decoder


@dataclass(frozen=True)
class NaivePacking:
    """The functions above, handed to tests by the fixture ``naive``."""

    pack = staticmethod(pack)
    random_document = staticmethod(random_document)
    random_rows = staticmethod(random_rows)
    latents = staticmethod(latents)
    times = staticmethod(times)
    decoder = staticmethod(build_decoder)
    Picture = Picture
    Series = Series
    vocabulary = VOCABULARY
    streams = STREAMS
    marks = MARKS

    @staticmethod
    def random_batch(seed: int, num_rows: int = 3, num_positions: int = 64) -> PackedBatch:
        random = np.random.default_rng(seed)
        return pack(random_rows(random, num_rows, num_positions), num_positions)


@pytest.fixture(scope="session")
def naive() -> NaivePacking:
    return NaivePacking()


@pytest.fixture(scope="session")
def world_model() -> Pretrained:
    """Random weights; the next view depends on all that is shown, at most 400 positions.

    Pictures of 8 x 8 pixels are 2 x 2 latent tokens.
    """
    text = TextTokenizer.train(["action: dx=+1.00 dy=-0.25 dyaw=+20", "view"], 300)
    tokenizers = StreamTokenizers({"image": pixel_tokenizer(image_pixels=8, patch_pixels=4)})
    settings = ModelSettings(width=32, depth=2, query_heads=4, key_value_heads=2)
    decoder = Decoder(settings, vocabulary=text.vocabulary_size, streams=tokenizers.streams, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.15 * torch.randn(parameter.shape, generator=generator))
    flow = FlowSettings(prediction="x", shift=2.0)
    decoder = decoder.eval().requires_grad_(False)
    return Pretrained(decoder, text, tokenizers, flow, 400)


TINY = """
name = "tiny"
streams.image = {{ kind = "pixels", image_pixels = 8, patch_pixels = 4 }}
tokenizer.vocabulary_tokens = 280
stream.sequence_length = 32
stream.batch_size = 2

[stream.sources]
pictures = {{ kind = "image_text", path = "{data}/pictures", held_out_fraction = 0.3 }}
texts = {{ kind = "text", path = "{data}/texts", held_out_fraction = 0.3 }}

[model]
width = 16
depth = 1
query_heads = 2
key_value_heads = 1

[training]
steps = 10
validation_batches = 1
checkpoint_every_steps = 5
schedule.warmup_steps = 3
"""


def noise(count: int, *sizes: tuple[int, int], seed: int = 0) -> list[np.ndarray]:
    """Pictures of noise, of these heights and widths in turn."""
    drawn = np.random.default_rng(seed)
    return [
        drawn.integers(0, 256, (*sizes[number % len(sizes)], 3), dtype=np.uint8)
        for number in range(count)
    ]


def write_picture_folder(
    folder: Path,
    pictures: Iterable[np.ndarray],
    columns: Callable[[int], dict[str, str]] = lambda number: {"text": f"number {number}"},
) -> Path:
    """Writes pictures, and a table with these columns beside that of their names."""
    folder.mkdir(exist_ok=True)
    lines = []
    for number, picture in enumerate(pictures):
        PillowImage.fromarray(picture).save(folder / f"{number}.png")
        lines.append(json.dumps({"file_name": f"{number}.png", **columns(number)}) + "\n")
    (folder / "metadata.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture(scope="session")
def noise_pictures() -> Callable[..., list[np.ndarray]]:
    return noise


@pytest.fixture(scope="session")
def picture_folder() -> Callable[..., Path]:
    return write_picture_folder


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 captioned pictures and 40 texts."""
    data = tmp_path_factory.mktemp("tiny")
    write_picture_folder(data / "pictures", noise(40, (8, 8)))
    (data / "texts").mkdir()
    for number in range(40):
        (data / "texts" / f"{number}.txt").write_text(f"this is text {number} of forty, read here")
    return data


@pytest.fixture(scope="session")
def tiny_recipe(tiny_data: Path) -> Callable[..., Path]:
    """Writes a recipe over the files above, or a copy of them, with settings that differ."""

    def write(path: Path, *settings: str, data: Path = tiny_data) -> Path:
        path.write_text(TINY.format(data=data))
        path.write_text(as_toml(load_toml(path, settings)))
        return path

    return write


class Sounds:
    """Sounds that tests make: chirps with noise, and their files."""

    @staticmethod
    def chirp(samples: int = 16_000, rate: int = 16_000, seed: int = 0) -> np.ndarray:
        """A tone that rises, in noise: float32 [samples], each a sound of its own."""
        seconds = np.arange(samples) / rate
        noise = np.random.default_rng(seed).standard_normal(samples)
        tone = np.sin(2 * np.pi * (200 + 40 * seed + 300 * seconds) * seconds)
        return (0.4 * tone + 0.01 * noise).astype(np.float32)

    @staticmethod
    def written(samples: np.ndarray, rate: int, **form: str) -> bytes:
        """A file of [samples] or [samples, channels] that soundfile writes."""
        file = io.BytesIO()
        soundfile.write(file, samples, rate, **{"format": "WAV", **form})
        return file.getvalue()

    @staticmethod
    def encoded(
        samples: np.ndarray, rate: int, container: str, codec: str, **options: str
    ) -> bytes:
        """A file of [samples] that FFmpeg writes."""
        file = io.BytesIO()
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        with av.open(file, "w", format=container, options=options) as opened:
            stream = opened.add_stream(codec, rate=rate)
            stream.layout = "mono"
            for part in (frame, None):
                opened.mux(stream.encode(part))
        return file.getvalue()

    @classmethod
    def folder(cls, folder: Path, count: int, samples: int = 2000, rate: int = 8000) -> Path:
        """Writes chirps of different lengths, and a table of them with words."""
        folder.mkdir(exist_ok=True)
        lines = []
        for number in range(count):
            content = cls.written(cls.chirp(samples + number, rate, number), rate)
            (folder / f"{number}.wav").write_bytes(content)
            line = {"audio": f"{number}.wav", "text": f"chirp {number % 3}"}
            lines.append(json.dumps(line) + "\n")
        (folder / "metadata.jsonl").write_text("".join(lines))
        return folder


@pytest.fixture(scope="session")
def sounds() -> type[Sounds]:
    return Sounds


MEMORY, TEMPORARY_BYTES = Path("/dev/shm"), 4 * 2**30


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # workers of xdist share what their controller opens
        return
    open_nursery()
    # Checkpoints are synced, and a disk takes milliseconds for each of their files.
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= TEMPORARY_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="write the losses of tests/golden anew")


TOGETHER = ("tests/evaluation/", "tests/walk/", "tests/worlds/")
"""Folders whose tests share what takes seconds to make."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``--dist loadfile`` a worker takes such a folder whole, of others a file."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            folders = (folder for folder in TOGETHER if nodeid.startswith(folder))
            return next(folders, super()._split_scope(nodeid))

    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins: at the end, files of quick tests keep every worker busy."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (not item.nodeid.startswith(TOGETHER), item.path not in slow))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing is read that another worker, or an earlier run, has made."""
    os.environ["CHIASM_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def _interrupts() -> None:
    """A process that a shell starts in the background ignores them, and so would its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """The networks of the tests are small; the number is given, so that nothing measures it."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _same_priority() -> Iterator[None]:
    """What a library changes of the scheduling would hold for later tests and their children."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    before = os.sched_getscheduler(0)
    yield
    assert os.sched_getscheduler(0) == before


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python processes that the library starts have their imports done."""
    monkeypatch.setattr(subprocess, "Popen", Forked)


class StandInSlurm:
    """Where ``slurm_stand_in.py`` is called by the names of Slurm's commands."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.programs = folder, programs

    def running(self) -> list[int]:
        """Numbers of the jobs that have tasks."""
        return [int(task.parents[1].name) for task in self.folder.glob("jobs/*/tasks/*")]

    def submitted(self) -> int:
        """How many jobs were ever submitted."""
        return len(list(self.folder.glob("given-*")))

    def cancel(self, *jobs: object, signal: str | None = None) -> None:
        """As an administrator does; with TERM, as Slurm does to the tasks that it pre-empts."""
        told = [f"--signal={signal}"] if signal else []
        subprocess.run([self.programs / "scancel", *told, *map(str, jobs)], check=True)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInSlurm]:
    """A cluster of this machine, by small programs in PATH; no job outlives the test."""
    folder, programs = tmp_path / "slurm-state", tmp_path / "slurm-bin"
    (folder / "jobs").mkdir(parents=True)
    programs.mkdir()
    for name in ("sbatch", "squeue", "scancel", "scontrol", "srun"):
        program = programs / name
        stand_in = Path(__file__).parent / "processes" / "slurm_stand_in.py"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {stand_in} {name} "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN_SLURM", str(folder))
    cluster = StandInSlurm(folder, programs)
    yield cluster
    while left := [job.name for job in (folder / "jobs").glob("*")]:
        cluster.cancel(*left, signal="KILL")
        cluster.cancel(*left)
        time.sleep(0.02)


class Films:
    """Writes video files whose frames show their number, by PyAV."""

    X264: ClassVar = {"preset": "ultrafast", "x264-params": "keyint=15:min-keyint=15:scenecut=0"}
    """A key frame every half second, and B-frames between."""
    BITS = 10

    def picture(self, number: int, height: int = 64, width: int = 96) -> np.ndarray:
        """uint8 [H, W, 3]: a red corner at the top left, and below the number as bars."""
        pixels = np.full((height, width, 3), 40, np.uint8)
        pixels[: height // 4, : width // 4] = 255, 0, 0
        for bit in range(self.BITS):
            bar = slice(bit * width // self.BITS, (bit + 1) * width // self.BITS)
            pixels[height // 2 :, bar] = 255 * (number >> bit & 1)
        return pixels

    def number(self, pixels: np.ndarray) -> int:
        height, width, _ = pixels.shape
        row = pixels[3 * height // 4].mean(-1)
        middle = [(2 * bit + 1) * width // (2 * self.BITS) for bit in range(self.BITS)]
        return sum(1 << bit for bit, at in enumerate(middle) if row[at] > 128)

    def write(
        self,
        path: Path,
        frames: int | Iterable[av.VideoFrame] = 60,
        *,
        first: int = 0,
        codec: str = "libx264",
        pixel_format: str = "yuv420p",
        options: dict[str, str] | None = None,
        container: dict[str, str] | None = None,
        rate: int = 30,
        stamps: Sequence[int] | None = None,
        sound: bool = False,
        prepare: Callable[[av.VideoStream], object] = lambda stream: None,
    ) -> Path:
        """The first frame shows ``first``. ``stamps`` count milliseconds; without them frames are
        1 / ``rate`` apart."""
        if isinstance(frames, int):
            frames = map(self._frame, range(first, first + frames))
        if codec == "libx264":
            options = {**self.X264, "bf": "2", **(options or {})}
        tick = Fraction(1, 1000) if stamps else Fraction(1, rate)
        with av.open(str(path), "w", options=container or {}) as file:
            stream = file.add_stream(codec, rate=rate, options=options or {})
            stream.pix_fmt, stream.codec_context.time_base = pixel_format, tick
            beside = file.add_stream("aac", rate=48000) if sound else None
            heard = 0
            for number, frame in enumerate(frames):
                if not number:
                    stream.width, stream.height = frame.width, frame.height
                    prepare(stream)
                frame.pts, frame.time_base = stamps[number] if stamps else number, tick
                file.mux(stream.encode(frame.reformat(format=pixel_format)))
                while beside and heard < (number + 1) * 48000 // rate:
                    file.mux(beside.encode(self._sound(heard)))
                    heard += 1024
            file.mux(stream.encode(None))
            if beside:
                file.mux(beside.encode(None))
        return path

    def cut(self, path: Path, share: float) -> Path:
        """A copy without its end."""
        whole = path.read_bytes()
        short = path.with_stem(f"{path.stem}-cut")
        short.write_bytes(whole[: int(len(whole) * share)])
        return short

    def _frame(self, number: int) -> av.VideoFrame:
        return av.VideoFrame.from_ndarray(self.picture(number), format="rgb24")

    def _sound(self, begin: int) -> av.AudioFrame:
        noise = np.random.default_rng(begin).normal(0, 0.1, (1, 1024)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
        frame.pts, frame.sample_rate, frame.time_base = begin, 48000, Fraction(1, 48000)
        return frame


@pytest.fixture(scope="session")
def films() -> Films:
    return Films()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, where the machine has it."""
    program = find_browser()
    if program is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed; the page is not opened")
    opened = Browser(program, tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()
