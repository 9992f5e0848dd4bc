"""A stream of every kind of files at once goes on to the bit, on any number of ranks.

Text, tars, pages, videos, sounds and a robot's episodes in one recipe, read through more than an
epoch, with documents that are longer than a row.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from judged import write
from readers import Case, whole
from valid import json_lines, picture

from chiasm.assembly import build_inputs, open_material
from chiasm.assembly.inputs import Inputs
from chiasm.batch.packed import PackedBatch
from chiasm.data.stream import Stream
from chiasm.evaluation.material import Material
from chiasm.recipe import Recipe, parse_recipe

pytestmark = pytest.mark.slow

BATCHES = 40
LANES = ROWS = 4
TABLES = ("ids", "label", "modality", "position", "first", "last", "document", "source")
FIELDS = (*(f"{name}_BT" for name in TABLES), "lane_B", "number_B")


def pages() -> Case:
    """Pages that are longer than a row, of sentences and pictures in turn."""
    spans = [
        {
            "spans": [
                part for n in range(9) for part in (f"{page}, then {n}.", {"image": f"{n}.png"})
            ]
        }
        for page in range(6)
    ]
    files = {f"{n}.png": picture(seed=n) for n in range(9)}
    return Case({**files, "pages.jsonl": json_lines(spans)}, {"kind": "interleaved"})


def sources() -> dict[str, Case]:
    [text, *_], [tars, *_], [video, *_] = whole("txt"), whole("tar"), whole("video")
    sounds, robot = whole("sound")[1], whole("lerobot")[0]
    long = text._replace(settings={"kind": "text", "document_characters": 300})
    return {
        **{"text": long, "tars": tars, "pages": pages()},
        **{"video": video, "sounds": sounds, "robot": robot},
    }


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("every kind")
    named = {
        name: {"path": str(write(case, folder / name)), "held_out_fraction": 0.2, **case.settings}
        for name, case in sources().items()
    }
    return parse_recipe(
        {
            "name": "all",
            "streams": {
                "image": {"kind": "pixels", "image_pixels": 8, "patch_pixels": 4},
                "sound": {"kind": "mdct", "rate": 8000, "seconds": 0.06},
            },
            "actions": {"controls": {"steering": {}, "throttle": {}}},
            "tokenizer": {"vocabulary_tokens": 300},
            "stream": {
                **{"sequence_length": 72, "batch_size": ROWS, "lanes": LANES},
                **{"rows_packed_together": 4, "sources": named},
            },
        }
    )


@pytest.fixture(scope="module")
def material(recipe: Recipe) -> Material:
    return open_material(recipe)


@pytest.fixture(scope="module")
def inputs(recipe: Recipe, material: Material) -> Inputs:
    return build_inputs(recipe, material.train)


class Streams:
    """Streams of the recipe, of all lanes or of one rank's."""

    def __init__(self, recipe: Recipe, material: Material, inputs: Inputs) -> None:
        self._given = recipe.stream, material.train, inputs.text_tokenizer, inputs.tokenizers, 5
        self._open: list[Stream] = []

    def of(self, ranks: int, state: dict[str, Any] | None = None) -> list[Stream]:
        found = [Stream(*self._given, rank=rank, num_ranks=ranks) for rank in range(ranks)]
        self._open += found
        for stream in found if state else ():
            stream.set_state(state)  # type: ignore[arg-type]
        return found

    def close(self) -> None:
        for stream in self._open:
            stream.close()


@pytest.fixture
def streams(recipe: Recipe, material: Material, inputs: Inputs) -> Iterator[Streams]:
    found = Streams(recipe, material, inputs)
    yield found
    found.close()


def rows(batch: PackedBatch) -> list[list[torch.Tensor]]:
    """All that a model sees, row by row: positions, and the items with their places."""
    found = [[getattr(batch, name)[row] for name in FIELDS] for row in range(batch.num_rows)]
    for slots in batch.slots.values():
        for number, item in enumerate(slots.items):
            own = (slots.start_N, slots.target_N, slots.dropped_N, slots.source_N)
            found[int(slots.row_N[number])] += [*(each[number] for each in own), item]
    return found


def batch_of(streams: Sequence[Stream]) -> list[list[torch.Tensor]]:
    """The rows of a global batch, of all ranks' parts in turn."""
    parts = [rows(next(stream)) for stream in streams]
    return [parts[row % len(parts)][row // len(parts)] for row in range(ROWS)]


def same(one: list[list[torch.Tensor]], other: list[list[torch.Tensor]]) -> bool:
    return all(
        len(a) == len(b) and all(map(torch.equal, a, b)) for a, b in zip(one, other, strict=True)
    )


def merged(streams: Sequence[Stream]) -> str:
    """The state of all ranks, as a checkpoint holds it."""
    return json.dumps(streams[0].merged([stream.get_state() for stream in streams]))


def amid_documents(state: str) -> int:
    """How many lanes have given a part of a split document, and not the rest."""

    def pieces(value: Any) -> Iterator[int]:
        if isinstance(value, dict):
            yield from (own for name, own in value.items() if name == "pieces_given")
            for own in value.values():
                yield from pieces(own)

    return sum(map(bool, pieces(json.loads(state))))


def test_it_goes_on_to_the_bit_from_every_place_and_on_any_ranks(streams: Streams) -> None:
    [alone] = streams.of(1)
    states, batches = [], []
    for _ in range(BATCHES):
        states.append(merged([alone]))
        batches.append(batch_of([alone]))
    report = alone.report()
    assert min(report.documents.values()) > 0
    assert report.split["text"] and report.split["pages"]  # noqa: PT018
    assert not any(report.skipped.values()), report.notes
    assert not same(batches[0], batches[1])
    amid = [place for place, state in enumerate(states) if amid_documents(state)]
    assert len(amid) > 3
    for place in (0, 1, BATCHES // 2, BATCHES - 2, *amid[::4]):
        for ranks in (1, 2, 4):
            others = streams.of(ranks, json.loads(states[place]))
            assert merged(others) == states[place]
            for later in range(place, min(place + 2, BATCHES)):
                assert same(batch_of(others), batches[later]), (place, ranks)


def test_ranks_read_what_one_reads(streams: Streams) -> None:
    [alone], pair, four = streams.of(1), streams.of(2), streams.of(4)
    for _ in range(BATCHES):
        expected = batch_of([alone])
        assert same(batch_of(pair), expected)
        assert same(batch_of(four), expected)
    assert merged(pair) == merged(four) == merged([alone])


def test_videos_are_read_through_an_epoch_and_further(
    streams: Streams, recipe: Recipe, material: Material
) -> None:
    [alone] = streams.of(1)
    for _ in range(BATCHES):
        next(alone)
    assert alone.report().documents["video"] > len(material.train["video"])
