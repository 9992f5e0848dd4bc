"""A recipe's sources counted: what a run would read of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from chiasm.assembly.inputs import build_inputs
from chiasm.assembly.objects import check_feasible, open_material
from chiasm.data.census import take_census
from chiasm.data.encoding import DocumentEncoder
from chiasm.data.preparation import Stage, silent
from chiasm.data.source import SourceFacts
from chiasm.documents import Document
from chiasm.recipe import Recipe
from chiasm.report.census import Counted


def count_data(
    recipe: Recipe,
    cache_folder: Path | None = None,
    on_stage: Stage = silent,
    documents: int | None = None,
    examples: int = 0,
) -> tuple[list[Counted], Mapping[str, SourceFacts]]:
    """Returns what both sides of every source hold, and what was found when they were opened.

    Args:
        recipe: names the sources, and the tokenizers by which positions are counted.
        cache_folder: where worlds and indexes are kept.
        on_stage: is told how far it is.
        documents: most documents of each side, evenly spread; None: all.
        examples: documents of each side that are returned, evenly spread.

    Raises:
        UserError: a source that cannot be opened, or a file that is lost.
    """
    # Pictures are looked at, even if training reads latents.
    streams = {n: own.model_copy(update={"latents": None}) for n, own in recipe.streams.items()}
    recipe = recipe.model_copy(update={"streams": streams})
    check_feasible(recipe, cache_folder, on_stage)
    material = open_material(recipe, cache_folder, on_stage)
    inputs = build_inputs(recipe, material.train, cache_folder, on_stage)
    length = recipe.stream.sequence_length
    encoder = DocumentEncoder(inputs.text_tokenizer, inputs.tokenizers, length)
    counted = []
    for side, sources in (("train", material.train), ("held_out", material.held_out)):
        for name, source in sources.items():
            most = min(len(source), documents or len(source))
            numbers = [number * len(source) // most for number in range(most)]
            shown = {numbers[k * most // examples] for k in range(min(examples, most))}
            kept: list[Document] = []

            def keep(
                number: int,
                document: Document,
                shown: set[int] = shown,
                kept: list[Document] = kept,
            ) -> None:
                if number in shown:
                    kept.append(document)

            told = _told(numbers, f"{side} {name}", on_stage)
            census = take_census(
                source, told, encoder, inputs.tokenizers.streams, keep, inputs.tokenizers
            )
            counted.append(Counted(name, side, len(source), census, kept))
    return counted, material.facts


def _told(numbers: list[int], what: str, on_stage: Stage) -> Iterator[int]:
    for done, number in enumerate(numbers):
        if done % 100 == 0:
            on_stage(f"reading {what}", done, len(numbers))
        yield number
    on_stage(f"reading {what}", len(numbers), len(numbers))
