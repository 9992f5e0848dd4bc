"""Starts of imagined walks: options that several verbs read."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from chiasm.actions import Action
from chiasm.assembly import open_held_out_walks
from chiasm.capabilities import Rendered
from chiasm.cli.progress import RunDisplay
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.recipe import Recipe, load_recipe
from chiasm.walk.starts import Start, Starts, given_picture
from chiasm.walk.truth import Truth
from chiasm.worldmodel.oracle import Oracle


@dataclass(frozen=True)
class Choice:
    """The start chosen by ``--map`` and ``--view``, or by ``--image``; or none in particular."""

    map_number: int | None
    view: int
    image: Path | None
    picture: bytes | None
    """Content of the image's file."""

    @classmethod
    def of(cls, map_: int | None, view: int | None, image: Path | None) -> Choice:
        """Returns the choice of the options.

        Raises:
            UserError: two starts, a view without its map, or a file that cannot be read.
        """
        for option, value in (("--map", map_), ("--view", view)):
            if value is not None and image is not None:
                raise UserError(f"{option} {value} and --image {image} are two starts; give one")
        if view is not None and map_ is None:
            raise UserError(f"--view {view} is a view of a map; give its --map too")
        try:
            picture = None if image is None else image.read_bytes()
        except OSError as error:
            raise UserError(f"--image {image} cannot be read: {error.strerror}") from error
        return cls(map_, view or 0, image, picture)


@dataclass(frozen=True, eq=False)
class Opened:
    """The starts of a run, and the chosen one.

    Args:
        starts: held-out views; empty for a saved model without a run.
        start: the chosen start, else the first; None if there is none.
        instructed: whether the run was trained on spoken instructions; unknown without its recipe.
    """

    starts: Starts
    start: Start | None
    instructed: bool | None


def open_starts(
    run: str, pretrained: Pretrained, choice: Choice, cache: Path | None, *, only_chosen: bool
) -> Opened:
    """Returns the starts of a run; ``only_chosen``: no held-out views beside a picture.

    Raises:
        UserError: the chosen start does not exist, or cannot be used.
    """
    shape, recipe = pretrained.vision_tokenizer.image_shape, _recipe_of(run)
    start = None
    if choice.picture is not None:
        start = given_picture(choice.picture, shape, str(choice.image))
    starts = Starts(shape)
    if recipe is not None and not (only_chosen and start is not None):
        with RunDisplay() as display:
            starts = Starts(shape, open_held_out_walks(recipe, cache, display.on_stage))
    if start is None and choice.map_number is not None:
        start = starts.at(choice.map_number, choice.view)
    elif start is None and len(starts):
        start = starts[0]
    return Opened(starts, start, _is_instructed(recipe))


def open_truth(running: ExitStack, source: Rendered, pretrained: Pretrained) -> Truth:
    """Returns the oracle of the source's places, which is open as long as ``running``."""
    shape, actions = pretrained.vision_tokenizer.image_shape, pretrained.actions
    oracle = running.enter_context(Oracle(source.camera(), actions, shape))
    return Truth(oracle, actions.write(Action(0, 0, 0)))


def _recipe_of(run: str) -> Recipe | None:
    path = Path(run) / "recipe.toml"
    return load_recipe(path) if path.is_file() else None


def _is_instructed(recipe: Recipe | None) -> bool | None:
    if recipe is None:
        return None
    found = (source.steps(recipe.tables) for source in recipe.stream.sources.values())
    return any(steps.spoken for steps in found if steps is not None)
