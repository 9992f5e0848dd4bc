"""The documents that every cell of a study is measured on, whatever it was trained on.

The mixture of a run's own validation follows its sources, so that two cells with different sources
would be measured on different rows. Here a study names its held-out sources itself, also ones that
no cell reads: texts of another domain for the loss out of domain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from chiasm.data.reading import ReadingLog
from chiasm.data.source import leaks
from chiasm.documents import Document, Text
from chiasm.errors import UserError, joined
from chiasm.evaluation.material import Items, pick
from chiasm.recipe import Recipe
from chiasm.studies.opened import Opened
from chiasm.studies.settings import HeldOutSettings


def open_held_out(
    recipe: Recipe,
    settings: Mapping[str, HeldOutSettings],
    opened: Opened,
    log: ReadingLog | None = None,
) -> dict[str, Items]:
    """Returns the held-out documents of every named source, with their clusters.

    Args:
        recipe: gives the embedded world and the length of a row.
        settings: name → source.
        opened: opens the sources.
        log: counts the documents that cannot be used, which are passed over.

    Raises:
        UserError: a source that cannot be opened or has too few documents.
    """
    if not settings:
        return {}
    stream = recipe.stream.model_copy(update={"sources": dict(settings)})
    material = opened.material(recipe.model_copy(update={"stream": stream}))
    return {
        name: _items(name, source, pick(material.held_out[name], source.documents, log))
        for name, source in settings.items()
    }


def refuse_leaks(recipes: Sequence[Recipe], settings: Mapping[str, HeldOutSettings]) -> None:
    """Checks that no cell trains on what the study measures as held out.

    Raises:
        UserError: one does; the message names the setting.
    """
    found = [error for recipe in recipes for error in leaks(recipe.stream.sources, settings)]
    if found:
        raise joined(list({str(error): error for error in found}.values())).under("held_out")


def fingerprint(held_out: Mapping[str, Items]) -> str:
    """Returns a hash of everything that is measured on: names, texts and images."""
    digest = hashlib.sha256()
    for name, items in held_out.items():
        digest.update(f"{name}\0{len(items.documents)}\0".encode())
        for document in items.documents:
            digest.update(document.text.encode() + b"\0")
            for image in document.images:
                digest.update(_bytes(image.data))
    return digest.hexdigest()[:12]


def _items(name: str, settings: HeldOutSettings, items: Items) -> Items:
    if settings.text_only:
        words = [_words(document) for document in items.documents]
        items = Items(words, items.clusters).with_text()
    if len(items.documents) < 2:
        raise UserError(
            f"has {len(items.documents)} documents; it needs two", setting=f"held_out.{name}"
        )
    return items


def _words(document: Document) -> Document:
    """Returns a document without its images."""
    return Document(tuple(span for span in document.spans if isinstance(span, Text)))


def _bytes(data: Path | bytes | np.ndarray) -> bytes:
    if isinstance(data, np.ndarray):
        return data.tobytes()
    return data if isinstance(data, bytes) else data.read_bytes()
