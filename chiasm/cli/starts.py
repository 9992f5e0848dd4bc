"""Opens where a walk through a model's imagination begins, and the engine that shows the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chiasm.assembly import open_held_out_walks
from chiasm.capabilities import Rendered
from chiasm.cli.choice import Choice, read_picture
from chiasm.cli.progress import RunDisplay
from chiasm.inference.pretrained import Pretrained
from chiasm.recipe import load_recipe
from chiasm.walk.scripts import Script
from chiasm.walk.starts import Start, Starts, given_picture
from chiasm.walk.truth import TrueWalk, Truth
from chiasm.worldmodel.oracle import Oracle


class WalkedRun:
    """A trained model, and what a walk through its imagination may begin with.

    Args:
        run: a run, a saved model or one of the hub.
        device: where the model works.
        choice: of a start.

    Raises:
        UserError: the picture's file or the model cannot be read.
    """

    def __init__(self, run: str, device: str, choice: Choice) -> None:
        image, path = choice.image, Path(run) / "recipe.toml"
        self._choice = choice
        self._picture = None if image is None else read_picture("--image", image)
        self.pretrained = Pretrained.load(run, device)
        self._recipe = load_recipe(path) if path.is_file() else None

    @property
    def instructed(self) -> bool | None:
        """Whether it was trained on spoken instructions; unknown without its recipe."""
        if self._recipe is None:
            return None
        tables, sources = self._recipe.tables, self._recipe.stream.sources.values()
        found = (source.steps(tables) for source in sources)
        return any(steps.spoken for steps in found if steps is not None)

    def starts(self, cache: Path | None, *, only_chosen: bool) -> tuple[Starts, Start | None]:
        """Returns the held-out views, and the chosen start, else the first; None without any.

        Args:
            cache: where rendered worlds are kept.
            only_chosen: whether no held-out views are opened beside a picture.

        Raises:
            UserError: the chosen start is not there, or cannot be used.
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
        elif start is None and len(starts):
            start = starts[0]
        return starts, start


def open_oracle(source: Rendered, pretrained: Pretrained) -> Oracle:
    """Returns the engine of the source's places, to be used in a ``with`` statement."""
    return Oracle(source.camera(), pretrained.actions, pretrained.vision_tokenizer.image_shape)


def true_views(
    pretrained: Pretrained, source: Rendered | None, start: Start, scripts: Sequence[Script]
) -> list[TrueWalk | None]:
    """What the engine shows behind each step; None where a start or a script names no pose."""
    if source is None or start.place is None:
        return [None] * len(scripts)
    with open_oracle(source, pretrained) as oracle:
        truth = Truth(oracle)
        return [
            truth.walk(start.place, script.commands) if script.is_numeric else None
            for script in scripts
        ]
