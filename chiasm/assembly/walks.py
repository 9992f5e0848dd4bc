"""Documents with actions in a run: their shape, and whether rows hold them."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from chiasm.capabilities import ActionVideos, Instructed, Uncut
from chiasm.data.encoding import DocumentEncoder
from chiasm.data.source import Steps
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Source, Text
from chiasm.inference.walks import WalkDocuments
from chiasm.recipe import Recipe
from chiasm.tokenizers.streams import StreamTokenizers


def refuse_misfit_walks(
    recipe: Recipe,
    sources: Mapping[str, Source],
    tokenizer: TextTokenizer,
    tokenizers: StreamTokenizers,
) -> None:
    """Refuses rows in which a walk would be cut, and lose its first view or its goal.

    Views are imagined, and compared with others, at one size: walks are refused beside streams
    whose items vary.

    Raises:
        UserError: the longest document of a source that must not be cut is longer than a row; or
            the pictures of walks keep their aspect ratios.
    """
    rows = recipe.stream.sequence_length
    encode = DocumentEncoder(tokenizer, tokenizers, sequence_length=sys.maxsize)
    for name, source in sources.items():
        if isinstance(source, ActionVideos | Instructed):
            tokenizers.refuse_varying(f"stream.sources.{name}, a source of walks,")
        if not isinstance(source, Uncut):
            continue
        positions, said = max(
            (len(encode(document)[0].ids), _last_text(document))
            for document in source.longest_documents()
        )
        if positions > rows:
            raise recipe.error(
                "stream.sequence_length",
                f"is shorter than the longest document of stream.sources.{name}: {positions} "
                f"positions up to the view after {said!r}",
                f"give {positions} or more, or {source.shorter}",
            )


def walk_documents(recipe: Recipe) -> WalkDocuments:
    """Returns the shape of documents with actions: longest, and widest horizon, of any source."""
    found = [source.steps(recipe.tables) for source in recipe.stream.sources.values()]
    given = [steps for steps in found if steps is not None]
    spoken = [steps for steps in given if steps.spoken]
    numeric = [steps for steps in given if not (steps.spoken or steps.inverse)]
    nearest, farthest = zip(*(steps.horizon_frames for steps in numeric or [Steps(0)]), strict=True)
    return WalkDocuments(
        views=max((steps.views for steps in numeric or spoken), default=0),
        horizon_frames=(min(nearest), max(farthest)),
        poses=not numeric or any(steps.posed for steps in numeric),
        inverse=any(steps.inverse for steps in given),
        instruction_views=max((s.stretch for s in spoken if s.stretch is not None), default=None),
    )


def _last_text(document: Document) -> str:
    return [span.text for span in document.spans if isinstance(span, Text)][-1]
