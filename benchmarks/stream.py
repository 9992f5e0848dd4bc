"""Packed positions per second of the data stream, on its one reading thread.

Two streams with the quickstart's rows: the embedded world's five sources from its cache, and
pictures in PNG files that must be opened and decoded. Beside them what the quickstart's training
consumes on this machine, and the ratio.

    python benchmarks/stream.py [world.train_maps=16 ...]     (settings to override in the recipe)

Of shards: samples per second of a source's documents in shuffled order, beside those of the bare
readers of Python's tarfile and of pyarrow in the order of the file, and beside pyarrow's cells in
the same shuffled order of a table in memory, all on one thread, in turns.

    python benchmarks/stream.py shards

And what it takes to open 10,000 pictures in files and a tar of 100,000 samples, the first time and
again.

    python benchmarks/stream.py openings
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
from PIL import Image as PillowImage
from pyarrow import parquet
from record import write_record

from chiasm.assembly import build_inputs, open_material, seconds_per_step
from chiasm.data.index import SETTLED_NS
from chiasm.data.kinds import ImageTextSettings
from chiasm.data.settings import StreamSettings
from chiasm.data.source import Opened, Opening
from chiasm.data.sources import open_sources
from chiasm.data.stream import Stream
from chiasm.documents import Source
from chiasm.recipe import load_recipe

RECIPE = Path(__file__).parents[1] / "recipes" / "quickstart.toml"
WINDOWS = 7
WINDOW_SECONDS = 2.0
PICTURE_FILES = 2000
SHARD_SAMPLES = 4_000
SHARD_PIXELS = {"small": 96, "usual": 384}
"""Sides of pictures in shards: some kilobytes, and some tens of kilobytes."""
FOLDER_PICTURES, TAR_SAMPLES = 10_000, 100_000


def positions_per_second(stream: Stream) -> dict[str, float]:
    """Filled positions per second in several windows, the reading thread being the only limit."""
    next(stream)
    rates = []
    for _ in range(WINDOWS):
        begin, positions = time.perf_counter(), 0
        while time.perf_counter() - begin < WINDOW_SECONDS:
            positions += next(stream).num_filled
        rates.append(positions / (time.perf_counter() - begin))
    report = stream.report()
    stream.close()
    return {
        "positions_per_second": round(median(rates)),
        "slowest_window": round(min(rates)),
        "fastest_window": round(max(rates)),
        "filled_share": round(report.filled, 4),
    }


def picture_files(captions: Source, folder: Path) -> Mapping[str, object]:
    """Settings of a source of PNG files, written from the pictures of another source."""
    lines = []
    for number in range(min(PICTURE_FILES, len(captions))):
        image = next(captions[number].images)
        PillowImage.fromarray(image.pixels()).save(folder / f"{number}.png")
        lines.append(json.dumps({"image": f"{number}.png", "caption": f"frame {number}"}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return {"kind": "image_text", "path": str(folder)}


def jpeg(number: int, pixels: int = SHARD_PIXELS["small"]) -> bytes:
    """A picture of coarse noise, another one for each number."""
    random = np.random.default_rng(number)
    shape = (pixels // 8, pixels // 8, 3)
    coarse = PillowImage.fromarray(random.integers(0, 256, shape, dtype=np.uint8))
    file = io.BytesIO()
    coarse.resize((pixels, pixels)).save(file, "JPEG", quality=90)
    return file.getvalue()


def samples(count: int, pixels: int = SHARD_PIXELS["small"]) -> Iterator[tuple[str, bytes]]:
    """Members of a tar; its pictures repeat, but for their last bytes."""
    pictures = [jpeg(number, pixels) for number in range(min(count, 200))]
    for number in range(count):
        yield f"{number:07}.jpg", pictures[number % len(pictures)] + b"%07d" % number
        yield f"{number:07}.txt", f"a picture of noise, number {number}".encode()


def write_tar(path: Path, members: Iterator[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def write_parquet(path: Path, count: int, pixels: int) -> Path:
    contents = [content for _, content in samples(count, pixels)]
    texts = [text.decode() for text in contents[1::2]]
    parquet.write_table(pa.table({"image": contents[::2], "text": texts}), path)
    return path


def bare_tar(path: Path) -> int:
    found: dict[str, dict[str, bytes]] = {}
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            key, _, field = member.name.partition(".")
            opened = tar.extractfile(member)
            assert opened is not None
            found.setdefault(key, {})[field] = opened.read()
            if len(found[key]) == 2:
                del found[key]
    return len(found)


def bare_parquet(path: Path) -> int:
    return sum(len(batch.to_pylist()) for batch in parquet.ParquetFile(path).iter_batches(256))


def bare_cells(path: Path, order: list[int]) -> Callable[[], object]:
    """What reads the rows of a table that is in memory, in an order."""
    table = parquet.read_table(path)
    columns = [table.column(name).combine_chunks() for name in ("image", "text")]
    return lambda: [[column[number].as_py() for column in columns] for number in order]


def opened(path: Path, cache: Path) -> Opened:
    settings = ImageTextSettings(path=str(path))
    return open_sources({"own": settings}, Opening(512, cache_folder=cache))["own"]


def best_seconds(*works: Callable[[], object], times: int = 9) -> list[float]:
    """Processor seconds of the fastest of several times of each, in turns: others run too."""
    found: list[list[float]] = [[] for _ in works]
    for _ in range(times):
        for work, own in zip(works, found, strict=True):
            begin = time.process_time()
            work()
            own.append(time.process_time() - begin)
    return [min(own) for own in found]


def of_shards(folder: Path) -> dict[str, object]:
    """Rates of shards beside those of bare readers, by the size of their pictures."""
    figures: dict[str, object] = {}
    for size, pixels in SHARD_PIXELS.items():
        tar = write_tar(folder / f"{size}.tar", samples(SHARD_SAMPLES, pixels))
        table = write_parquet(folder / f"{size}.parquet", SHARD_SAMPLES, pixels)
        kilobytes = round(tar.stat().st_size / SHARD_SAMPLES / 1000, 1)
        figures[f"{size}, kilobytes of a sample"] = kilobytes
        figures[f"{size}, tar"] = beside(tar, bare_tar, folder / "cache")
        figures[f"{size}, parquet"] = beside(table, bare_parquet, folder / "cache")
    return figures


def beside(path: Path, bare: Callable[[Path], int], cache: Path) -> dict[str, float]:
    """Samples per processor second of shuffled documents, and of a bare reader in order."""
    source = opened(path, cache).train
    order = (np.random.default_rng(0).permutation(len(source) // 2) * 2).tolist()

    def read() -> None:
        for number in order:
            source[number]

    own_seconds, bare_seconds = best_seconds(read, lambda: bare(path))
    rate, bare_rate = len(order) / own_seconds, SHARD_SAMPLES / bare_seconds
    found = {
        "samples_per_second": round(rate),
        "bare_samples_per_second": round(bare_rate),
        "ratio": round(rate / bare_rate, 2),
    }
    if path.suffix == ".parquet":
        own_seconds, bare_seconds = best_seconds(
            read, bare_cells(path, [each // 2 for each in order])
        )
        found["bare_shuffled_samples_per_second"] = round(len(order) / bare_seconds)
        found["ratio_to_bare_shuffled"] = round(bare_seconds / own_seconds, 2)
    return found


def of_openings(folder: Path) -> dict[str, object]:
    """Processor seconds and peak memory of openings, each in a process of its own."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(FOLDER_PICTURES):
        (pictures / f"{number}.jpg").write_bytes(jpeg(number % 1000) + b"%d" % number)
        (pictures / f"{number}.txt").write_text(f"number {number}")
    tar = write_tar(folder / "large.tar", samples(TAR_SAMPLES))
    time.sleep(SETTLED_NS / 1e9)
    figures: dict[str, object] = {}
    for name, path in (("10,000 pictures", pictures), ("tar of 100,000 samples", tar)):
        for turn in ("first", "again"):
            command = [sys.executable, __file__, "open", str(path), str(folder / "kept")]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            figures[f"{name}, {turn}"] = json.loads(told)
    return figures


def open_alone(path: Path, cache: Path) -> None:
    """Opens a path and prints what that took."""
    before = peak_mebibytes()
    begin, processor = time.perf_counter(), time.process_time()
    found = opened(path, cache)
    took = {
        "processor_seconds": round(time.process_time() - processor, 2),
        "seconds": round(time.perf_counter() - begin, 2),
        "documents": found.facts.documents,
    }
    print(json.dumps(took | {"mebibytes_before": before, "peak_mebibytes": peak_mebibytes()}))


def peak_mebibytes() -> int:
    """Most memory that this process has had; that of getrusage is its parent's too."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) >> 10


def main() -> None:
    if sys.argv[1:2] == ["open"]:
        open_alone(*map(Path, sys.argv[2:]))
        return
    for name, measure_in in (("shards", of_shards), ("openings", of_openings)):
        if sys.argv[1:] == [name]:
            with tempfile.TemporaryDirectory() as folder:
                found = measure_in(Path(folder))
            write_record(name, found)
            print(json.dumps(found, indent=2))
            return
    recipe = load_recipe(RECIPE, sys.argv[1:])
    material = open_material(recipe)
    inputs = build_inputs(recipe, material.train)

    def measure(settings: StreamSettings, sources: Mapping[str, Source]) -> dict[str, float]:
        return positions_per_second(
            Stream(settings, sources, inputs.text_tokenizer, inputs.tokenizers, recipe.seed)
        )

    figures: dict[str, object] = {"embedded_world": measure(recipe.stream, material.train)}
    with tempfile.TemporaryDirectory() as folder:
        source = picture_files(material.train["image_text"], Path(folder))
        files = recipe.stream.model_dump() | {"sources": {"files": source}}
        settings = StreamSettings.model_validate(files)
        opened = open_sources(settings.sources, Opening(settings.sequence_length))
        sources = {name: each.train for name, each in opened.items()}
        figures["png_files"] = measure(settings, sources)
    world = figures["embedded_world"]
    assert isinstance(world, dict)
    step_seconds = seconds_per_step(recipe, material)
    batch_positions = recipe.stream.batch_size * recipe.stream.sequence_length
    training = batch_positions * world["filled_share"] / step_seconds
    figures["training_positions_per_second"] = round(training)
    figures["stream_over_training"] = round(world["positions_per_second"] / training, 1)
    write_record("stream", figures)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
