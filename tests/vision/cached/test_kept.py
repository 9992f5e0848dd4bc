"""Latents that keep themselves: a run's numbers do not depend on what was kept before."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from chiasm.assembly import train_run
from chiasm.batch.items import CacheError
from chiasm.documents import Continuous, Image
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.loop.progress import StepReport
from chiasm.recipe import Recipe, load_recipe
from chiasm.threads import threads_set
from chiasm.tokenizers.parts import Encoder
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.tokenizers.statistics import save_statistics
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.cached.kept import COMPARED_EVERY, FIRST_COMPARED, KeptLatents, keep_latents
from chiasm.vision.kinds import RaeSettings
from chiasm.vision.pixels import pixel_tokenizer

CPU = torch.device("cpu")
MOST = 10**7


class Sums(Encoder, kind="kept-sums"):
    """Of series; it says how often it encoded."""

    modality, grid, channels = "motion", (2,), 3
    factor: ClassVar[float] = 1.0
    random: ClassVar[bool] = False

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((3,), 1.0 + seed))
        self.calls: list[int] = []

    def read(self, data: Any) -> Tensor:
        if data is None:
            raise ValueError("no series")
        return torch.as_tensor(data, dtype=torch.float32)

    def encode(self, items_B: Tensor) -> Tensor:
        self.calls.append(len(items_B))
        noise = torch.rand(()) if self.random else 0
        return items_B.unflatten(1, (2, 2)).sum(2, keepdim=True) * self.weight * self.factor + noise


def series(number: int) -> Continuous:
    return Continuous([float(number)] * 4, target=True, stream="series")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def keep(tmp_path: Path, told: list[str]) -> Callable[..., KeptLatents]:
    def open_kept(tokenizer: Tokenizer, most_bytes: int = MOST) -> KeptLatents:
        given = tmp_path / "latents", most_bytes, told.append
        return keep_latents({"series": tokenizer}, CPU, *given)["series"]

    return open_kept


def sums(seed: int = 0) -> Tokenizer:
    return Tokenizer("sums", Sums(seed))


def test_an_item_is_encoded_once(keep, told) -> None:
    """By whichever run; the first ones that are found are compared, and some later ones."""
    first, second = sums(), sums()
    for number in range(40):
        wanted = torch.full((2, 3), 2.0 * number)
        assert torch.equal(keep(first).read(series(number)), wanted)
    assert first.encoder.calls == [1] * 40
    kept, times = keep(second), FIRST_COMPARED + 2 * COMPARED_EVERY
    for number in range(times):
        assert torch.equal(kept.read(series(number % 40)), torch.full((2, 3), 2.0 * (number % 40)))
    assert len(second.encoder.calls) == FIRST_COMPARED + 2
    assert not told


def test_nothing_is_kept_in_no_room(keep, told, tmp_path: Path) -> None:
    own = sums()
    for _ in range(2):
        assert torch.equal(keep(own, 0).read(series(1)), torch.full((2, 3), 2.0))
    assert len(own.encoder.calls) == 2
    assert not (tmp_path / "latents").exists()
    assert not told


def test_other_weights_have_other_latents_and_other_statistics_the_same(keep, tmp_path) -> None:
    measured, other = sums(), sums(seed=1)
    keep(sums()).read(series(1))
    measured.measure([torch.rand(8, 4)], data="noise")
    keep(measured).read(series(1))
    assert len([*(tmp_path / "latents").glob("*.latents")]) == 1
    assert torch.equal(keep(other).read(series(1)), torch.full((2, 3), 4.0))
    assert len([*(tmp_path / "latents").glob("*.latents")]) == 2


@pytest.mark.parametrize(
    "change", [("factor", 3.0), ("random", True)], ids=["code", "augmentation"]
)
def test_an_encoder_that_makes_others_by_now_is_found_out(
    keep, told, change, tmp_path, monkeypatch
) -> None:
    keep(sums()).read(series(1))
    monkeypatch.setattr(Sums, *change)
    kept = keep(sums())
    assert not torch.equal(kept.read(series(1)), torch.full((2, 3), 2.0))
    assert len(told) == 1
    assert told[0].startswith("streams.series: kept latents are not those that the encoder makes:")
    kept.read(series(1))
    assert not [*(tmp_path / "latents").glob("*.latents")]
    assert len(told) == 1


def test_a_disk_that_fails_is_told_and_nothing_else(keep, told, tmp_path: Path) -> None:
    (tmp_path / "latents").write_text("in the way")
    kept = keep(sums())
    assert torch.equal(kept.read(series(1)), torch.full((2, 3), 2.0))
    [line] = told
    assert line.startswith("streams.series: latents cannot be kept, but are made whenever")


def test_a_broken_item_is_skipped_and_a_broken_encoder_ends_the_run(keep) -> None:
    kept = keep(sums())
    with pytest.raises(UserError, match="no series") as broken:
        kept.read(Continuous(None, target=True, stream="series"))
    assert not isinstance(broken.value, CacheError)
    with pytest.raises(CacheError, match=r"^streams\.series: Sums\.encode\(\) fails at items of"):
        kept.read(Continuous([1.0] * 5, target=True, stream="series"))


def test_the_threads_of_the_training_stay_as_they_are(keep) -> None:
    """Another thread encodes by one, whatever number the training has at the moment."""
    used: list[int] = []
    own = sums()
    encode = own.encoder.encode
    own.encoder.encode = lambda items_B: used.append(torch.get_num_threads()) or encode(items_B)
    kept = keep(own)
    with threads_set(2), ThreadPoolExecutor(1) as reading:
        reading.submit(kept.read, series(1)).result()
        kept.read(series(2))
        assert torch.get_num_threads() == 2
    assert used == [1, 1]


def test_what_keeps_nothing_says_so(told, tmp_path: Path) -> None:
    """Another device does; an encoder without weights has nothing to save."""
    streams = {"image": pixel_tokenizer(8, 4), "series": sums()}
    assert [*keep_latents(streams, CPU, tmp_path, MOST, told.append)] == ["series"]
    assert not told
    assert not keep_latents(streams, torch.device("meta"), tmp_path, MOST, told.append)
    [line] = told
    assert line.startswith("streams.series: its items are encoded in every step")
    assert "chiasm vision encode" in line


def test_a_picture_has_its_latents_whatever_is_encoded_beside_it(keep) -> None:
    """A batch may round otherwise."""
    tokenizer = open_tokenizer(RaeSettings())
    pixels = np.random.default_rng(0).integers(0, 256, (7, 64, 64, 3), dtype=np.uint8)
    kept = keep(tokenizer)
    alone = [kept.read(Image(each, target=True)) for each in pixels]
    again = [kept.read(Image(each, target=False)) for each in reversed(pixels)]
    assert all(map(torch.equal, alone, reversed(again)))
    together = tokenizer.encode(torch.stack([tokenizer.read(each) for each in pixels]))
    standardized = tokenizer.statistics.standardize(torch.stack(alone))
    torch.testing.assert_close(standardized, together, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def recipe(tiny_recipe, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A tokenizer with weights, with statistics of these pictures, which it enlarges."""
    folder = tmp_path_factory.mktemp("kept")
    tokenizer = open_tokenizer(RaeSettings())
    pictures = [tokenizer.read(path) for path in sorted((tiny_data / "pictures").glob("*.png"))]
    save_statistics(tokenizer.measure([torch.stack(pictures)], data="tiny"), folder / "own.json")
    path = tiny_recipe(folder / "tiny.toml", "stream.sequence_length=64")
    streams = {"image": {"kind": "rae", "statistics": str(folder / "own.json")}}
    return Recipe.model_validate(load_recipe(path).model_dump() | {"streams": streams})


def trained(
    recipe: Recipe, run: Path, cache: Path, on_step: Callable[..., None] = lambda report: None
) -> tuple[bytes, list[Tensor]]:
    lines: list[str] = []
    train_run(recipe, run, cache_folder=cache, tell=lines.append, on_step=on_step)
    assert not [line for line in lines if line.startswith("streams.")]
    weights = Pretrained.load(run).decoder.state_dict()
    return (run / "metrics.jsonl").read_bytes(), [*weights.values()]


def test_a_run_has_the_same_numbers_whatever_was_kept_before(
    recipe: Recipe, tmp_path: Path, monkeypatch
) -> None:
    """Nothing, half, all; where nothing is kept; where all is gone when a stopped run goes on."""
    calls: list[int] = []
    encode = Tokenizer.encode_alone
    monkeypatch.setattr(Tokenizer, "encode_alone", lambda *a: calls.append(1) or encode(*a))
    cache = tmp_path / "cache"
    metrics, weights = trained(recipe, tmp_path / "empty", cache)
    [kept] = (cache / "latents").glob("*.latents")
    encoded = [len(calls)]

    def stop(report: StepReport) -> None:
        if report.step == 7:
            raise InterruptedError

    for name in ("full", "half", "none", "resumed"):
        calls.clear()
        own = recipe
        if name == "half":
            whole = kept.read_bytes()
            record = 24 + 4 * 16 * 32
            kept.write_bytes(whole[: len(whole) // record // 2 * record])
        if name == "none":
            stream = recipe.stream.model_copy(update={"kept_latents_megabytes": 0})
            own = recipe.model_copy(update={"stream": stream})
        if name == "resumed":
            with pytest.raises(InterruptedError):
                trained(own, tmp_path / name, cache, stop)
            kept.unlink()
        again, numbers = trained(own, tmp_path / name, cache)
        assert again == metrics
        assert all(map(torch.equal, numbers, weights))
        encoded.append(len(calls))
    empty, full, half, none, _ = encoded
    assert full < half < empty < none
