"""Walks in a run's documents: how many views they have, and whether their rows hold them."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from chiasm.data import TextTokenizer
from chiasm.data.batch import AnyShape
from chiasm.data.encoding import DocumentEncoder
from chiasm.documents import Document, Source, Text
from chiasm.errors import UserError
from chiasm.recipe import Recipe
from chiasm.worlds.instructions import INSTRUCTIONS, InstructionSource


def refuse_cut_walks(
    recipe: Recipe, sources: Mapping[str, Source], tokenizer: TextTokenizer, shapes: AnyShape
) -> None:
    """A walk cut between two rows would lose its first view, or its goal.

    Raises:
        UserError: the longest document of a source of instructions is longer than a row.
    """
    rows = recipe.stream.row_positions
    encode = DocumentEncoder(tokenizer, shapes, row_positions=sys.maxsize)
    for name, source in sources.items():
        if not isinstance(source, InstructionSource):
            continue
        positions, said = max(
            (len(encode(document)[0].ids), _last_text(document))
            for document in source.longest_documents()
        )
        if positions > rows:
            raise UserError(
                f"stream.row_positions = {rows} is shorter than the longest document of "
                f"stream.sources.{name}: {positions} positions up to the view after {said!r}; "
                f"give {positions} or more, or lower instructions.steps = "
                f"{list(recipe.instructions.steps)}"
            )


def most_views(recipe: Recipe) -> int:
    """Views of the longest document of numeric actions, else of instructions; 0 without both."""
    numeric, spoken = [0], [0]
    for source in recipe.stream.sources.values():
        if source.task == "action_video":
            of_world = source.kind == "world"
            frames = recipe.world.action_video_frames if of_world else source.trajectories.frames
            numeric.append(frames[1])
        elif source.task == INSTRUCTIONS:
            spoken.append(recipe.instructions.steps[1] + 1)
    return max(numeric) or max(spoken)


def _last_text(document: Document) -> str:
    return [span.text for span in document.spans if isinstance(span, Text)][-1]
