"""Walks in a run's documents: what they are like, and whether their rows hold them."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from chiasm.batch.streams import Streams
from chiasm.data.encoding import DocumentEncoder
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Source, Text
from chiasm.inference.walks import WalkDocuments
from chiasm.recipe import Recipe
from chiasm.worlds.instructions import INSTRUCTIONS, InstructionSource


def refuse_cut_walks(
    recipe: Recipe, sources: Mapping[str, Source], tokenizer: TextTokenizer, streams: Streams
) -> None:
    """A walk cut between two rows would lose its first view, or its goal.

    Raises:
        UserError: the longest document of a source of instructions is longer than a row.
    """
    rows = recipe.stream.row_positions
    encode = DocumentEncoder(tokenizer, streams, row_positions=sys.maxsize)
    for name, source in sources.items():
        if not isinstance(source, InstructionSource):
            continue
        positions, said = max(
            (len(encode(document)[0].ids), _last_text(document))
            for document in source.longest_documents()
        )
        if positions > rows:
            raise recipe.error(
                "stream.row_positions",
                f"is shorter than the longest document of stream.sources.{name}: {positions} "
                f"positions up to the view after {said!r}",
                f"give {positions} or more, or lower instructions.steps = "
                f"{list(recipe.instructions.steps)}",
            )


def walk_documents(recipe: Recipe) -> WalkDocuments:
    """What documents with actions are like: the longest, and the widest horizon, of any source."""
    numeric, spoken, horizons = [0], [0], []
    for source in recipe.stream.sources.values():
        if source.task == "action_video":
            world, recorded = recipe.world, source.trajectories
            if source.kind == "world":
                frames, horizon = world.action_video_frames, world.horizon_frames
            else:
                frames, horizon = recorded.frames, recorded.horizon_frames
            numeric.append(frames[1])
            horizons.append(horizon)
        elif source.task == INSTRUCTIONS:
            spoken.append(recipe.instructions.views or recipe.instructions.steps[1] + 1)
    nearest, farthest = zip(*(horizons or [(1, 1)]), strict=True)
    return WalkDocuments(
        views=max(numeric) or max(spoken),
        horizon_frames=(min(nearest), max(farthest)),
        instruction_views=recipe.instructions.views,
    )


def _last_text(document: Document) -> str:
    return [span.text for span in document.spans if isinstance(span, Text)][-1]
