"""Whether instructed walks fit the rows of a run."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from chiasm.data import TextTokenizer
from chiasm.data.batch import AnyShape
from chiasm.data.encoding import DocumentEncoder
from chiasm.documents import Document, Source, Text
from chiasm.errors import UserError
from chiasm.recipe import Recipe
from chiasm.worlds.instructions import InstructionSource


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


def _last_text(document: Document) -> str:
    return [span.text for span in document.spans if isinstance(span, Text)][-1]
