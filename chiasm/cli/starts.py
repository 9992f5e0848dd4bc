"""Opens the starts of imagined walks, and the engine that renders true views."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from chiasm.assembly import open_held_out_walks
from chiasm.capabilities import Rendered
from chiasm.cli.choice import Choice, read_picture
from chiasm.cli.progress import RunDisplay
from chiasm.evaluation.horizons import frames_ahead
from chiasm.evaluation.rollouts import frames_beaten
from chiasm.inference.pretrained import Pretrained, find_model
from chiasm.recipe import load_recipe
from chiasm.walk.scripts import Script
from chiasm.walk.starts import Start, Starts, given_picture
from chiasm.walk.truth import TrueWalk, Truth
from chiasm.worldmodel.oracle import Oracle


class WalkedRun:
    """A trained model, and the starts of walks that it may imagine.

    Args:
        run: a run, a saved model or a hub id.
        device: device of the model.
        choice: options that choose a start.

    Raises:
        UserError: the picture's file or the model cannot be read.
    """

    def __init__(self, run: str, device: str, choice: Choice) -> None:
        image = choice.image
        self._choice, self.name = choice, Path(run).resolve().name
        self._picture = None if image is None else read_picture("--image", image)
        model = find_model(run)
        self.pretrained = Pretrained.load(model, device)
        path = _beside(model, "recipe.toml")
        self._report = _beside(model, "report.json", "evaluation.json")
        self._recipe = None if path is None else load_recipe(path)

    @property
    def instructed(self) -> bool | None:
        """Whether it was trained on spoken instructions; None without its recipe."""
        if self._recipe is None:
            return None
        tables, sources = self._recipe.tables, self._recipe.stream.sources.values()
        found = (source.steps(tables) for source in sources)
        return any(steps.spoken for steps in found if steps is not None)

    @property
    def known(self) -> str:
        """How far ahead its views are good, in words; empty where no report tells."""
        report = {} if self._report is None else json.loads(self._report.read_text())
        ahead = frames_beaten(report.get("rows", ()))
        if ahead is None:
            return ""
        if not ahead:
            return "by its report no nearer to the truth than the last view, not even 1 frame ahead"
        far = frames_ahead(ahead)
        return f"by its report nearer to the truth than the last view up to {far}"

    @property
    def prompts(self) -> dict[str, str]:
        """Field of the demo page → a prompt in words that training had; empty without a recipe."""
        sources = [] if self._recipe is None else self._recipe.stream.sources.values()
        return {field: words for each in sources for field, words in each.prompts.items()}

    def starts(self, cache: Path | None, *, only_chosen: bool) -> tuple[Starts, Start | None]:
        """Returns the held-out views, and the chosen start, else one with an open way ahead.

        Args:
            cache: folder of rendered worlds.
            only_chosen: whether no held-out views are opened beside a picture.

        Raises:
            UserError: the chosen start does not exist, or cannot be used.
        """
        shape, start = self.pretrained.vision_tokenizer.image_shape, None
        if self._picture is not None:
            start = given_picture(self._picture, shape, str(self._choice.image))
        starts = Starts(shape)
        if self._recipe is not None and not (only_chosen and start is not None):
            with RunDisplay() as display:
                starts = Starts(shape, open_held_out_walks(self._recipe, cache, display.on_stage))
        if start is None and self._choice.map is not None:
            start = starts.at(self._choice.map, self._choice.view or 0)
        elif start is None:
            start = starts.open_way()
        return starts, start


def _beside(model: Path, *names: str) -> Path | None:
    """Returns a file of a saved model: an export's own, or the run's that it is of."""
    folders = (model, model.parent) if model.name == "model" else (model,)
    found = (folder / name for folder in folders for name in names)
    return next((path for path in found if path.is_file()), None)


def open_oracle(source: Rendered, pretrained: Pretrained) -> Oracle:
    """Returns the oracle of the source's places, a context manager."""
    return Oracle(source.camera(), pretrained.actions, pretrained.vision_tokenizer.image_shape)


def true_views(
    pretrained: Pretrained, source: Rendered | None, start: Start, scripts: Sequence[Script]
) -> list[TrueWalk | None]:
    """Returns the true views of each script; None if the start or the script has no poses."""
    if source is None or start.place is None:
        return [None] * len(scripts)
    with open_oracle(source, pretrained) as oracle:
        truth = Truth(oracle)
        return [
            truth.walk(start.place, script.commands) if script.has_poses else None
            for script in scripts
        ]
