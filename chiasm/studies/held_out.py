"""The documents that every cell of a study is measured on: the same, whatever it was trained on.

The mixture of a run's own validation follows its sources, so that two cells which read different
sources would be held against different rows. Here a study names its held-out sources itself, also
ones that no cell reads: another domain's texts for the loss out of domain.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.assembly import default_cache_folder, open_material
from chiasm.data.navigation import TrajectorySettings
from chiasm.data.reading import ReadingLog
from chiasm.data.source import SourceSettings, leaks
from chiasm.documents import Document, Text
from chiasm.errors import UserError, joined
from chiasm.evaluation.material import Items, pick
from chiasm.recipe import Recipe
from chiasm.studies.settings import HeldOutSettings
from chiasm.worlds.freedoom import record_freedoom

MANUAL_HELD_OUT = 0.5
"""Share of Python's reference texts that counts as held out where nobody trains on them."""

FREEDOOM_WALKS = {"num_maps": 24, "walks_per_map": 4, "num_frames": 12}
FREEDOOM_HELD_OUT = 0.8
"""Share of the walks; nobody trains on them."""

ONE_STEP = TrajectorySettings(frames=(2, 2), horizon_frames=(1, 1))
"""Documents of an action and the next view, as those of the embedded world."""


def open_held_out(
    recipe: Recipe,
    settings: Mapping[str, HeldOutSettings],
    cache_folder: Path | None = None,
    log: ReadingLog | None = None,
) -> dict[str, Items]:
    """The held-out documents of every named source, and their clusters.

    Args:
        recipe: gives the embedded world and the length of a row.
        settings: name → source.
        cache_folder: where rendered worlds and the manual's texts are kept.
        log: counts the documents that cannot be used, which are passed over.

    Raises:
        UserError: a source that cannot be opened or has too few documents.
    """
    if not settings:
        return {}
    cache_folder = cache_folder or default_cache_folder()
    pixels = recipe.world.image_pixels
    sources = {name: _source(source, cache_folder, pixels) for name, source in settings.items()}
    stream = recipe.stream.model_copy(update={"sources": sources})
    material = open_material(recipe.model_copy(update={"stream": stream}), cache_folder)
    return {
        name: _items(name, source, pick(material.held_out[name], source.documents, log))
        for name, source in settings.items()
    }


def refuse_leaks(recipes: Sequence[Recipe], settings: Mapping[str, HeldOutSettings]) -> None:
    """Raise where cells train on what the study measures as held out.

    Raises:
        UserError: they do; the message names the setting.
    """
    own = {
        name: SourceSettings(**_plain(source))
        for name, source in settings.items()
        if source.kind not in ("python_manual", "freedoom")
    }
    found = [error for recipe in recipes for error in leaks(recipe.stream.sources, own)]
    if found:
        raise joined(list({str(error): error for error in found}.values())).under("held_out")


def fingerprint(held_out: Mapping[str, Items]) -> str:
    """Hash of everything that is measured on: names, words and pictures."""
    digest = hashlib.sha256()
    for name, items in held_out.items():
        digest.update(f"{name}\0{len(items.documents)}\0".encode())
        for document in items.documents:
            digest.update(document.text.encode() + b"\0")
            for image in document.images:
                digest.update(_bytes(image.data))
    return digest.hexdigest()[:12]


def python_manual(cache_folder: Path) -> Path:
    """A folder of the reference texts that come with this Python: English about something else."""
    folder = cache_folder / "texts" / f"python-manual-{platform.python_version()}"
    if not folder.exists():
        topics = _manual_topics()
        aside = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        for topic, text in topics.items():
            (aside / f"{topic}.txt").write_text(text, encoding="utf-8")
        try:
            os.replace(aside, folder)
        except OSError:  # another process was first
            shutil.rmtree(aside)
    return folder


def _manual_topics() -> dict[str, str]:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:  # some distributions leave it out
        raise UserError(
            "this Python comes without its reference texts (pydoc_data), which held_out sources of "
            'kind "python_manual" read; install the full standard library, or name a folder of '
            'texts with kind = "text"'
        ) from error
    return topics


def freedoom_walks(cache_folder: Path, image_pixels: int) -> Path:
    """A folder of recorded walks through the engine's own maps: another domain to walk in."""
    walks = FREEDOOM_WALKS
    name = f"{walks['num_maps']}-{walks['walks_per_map']}-{walks['num_frames']}-{image_pixels}"
    folder = cache_folder / "freedoom" / name
    record_freedoom(folder, **walks, image_pixels=image_pixels, seed=0)
    return folder


def _source(settings: HeldOutSettings, cache_folder: Path, image_pixels: int) -> SourceSettings:
    plain = _plain(settings)
    if settings.kind == "python_manual":
        path = str(python_manual(cache_folder))
        plain |= {"kind": "text", "path": path, "held_out_fraction": MANUAL_HELD_OUT}
    if settings.kind == "freedoom":
        path = str(freedoom_walks(cache_folder, image_pixels))
        plain |= {"kind": "trajectories", "task": "action_video", "path": path}
        plain |= {"held_out_fraction": FREEDOOM_HELD_OUT, "trajectories": ONE_STEP}
    return SourceSettings(**plain)


def _plain(settings: HeldOutSettings) -> dict[str, Any]:
    return settings.model_dump(exclude={"documents", "text_only"})


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
    """A document without its pictures."""
    return Document(tuple(span for span in document.spans if isinstance(span, Text)))


def _bytes(data: Path | bytes | np.ndarray) -> bytes:
    if isinstance(data, np.ndarray):
        return data.tobytes()
    return data if isinstance(data, bytes) else data.read_bytes()
