"""One decoder-only transformer, pretrained from scratch on text, images, video and actions.

    import chiasm

    model = chiasm.train("recipes/quickstart.toml", **{"training.steps": 200})
    model = chiasm.load("runs/quickstart")     # a run, a saved model, or a hub id
    model.write("story:")
    model.draw("a dim room with steel walls")

The names below are what a user in Python needs first; everything else is imported from its folder.
Importing this package alone stays cheap: torch is first imported by what needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chiasm.documents import Continuous, Document, Image, Sound, Text
    from chiasm.evaluation.evaluation import Evaluation
    from chiasm.evaluation.material import Material
    from chiasm.trained import Model

__all__ = [
    "Continuous",
    "Document",
    "Image",
    "Sound",
    "Text",
    "__version__",
    "evaluate",
    "load",
    "sources",
    "train",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Returns a class of documents, whose imports (NumPy, Pillow) the command line begins with only
    when it can be interrupted.
    """
    if name not in ("Continuous", "Document", "Image", "Sound", "Text"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from chiasm import documents

    return getattr(documents, name)


def load(path_or_hub_id: str | Path, device: str = "cpu") -> Model:
    """Returns a saved model; see :meth:`chiasm.inference.pretrained.Pretrained.load`."""
    from chiasm.trained import Model

    return Model.load(path_or_hub_id, device)


def train(
    recipe: str | Path, out: str | Path | None = None, *, fresh: bool = False, **settings: Any
) -> Model:
    """Trains a recipe, or resumes its training, and returns the model.

    Args:
        recipe: a TOML file.
        out: the run folder; by default ``runs/`` and the recipe's name.
        fresh: whether to delete the run in the folder and begin again.
        settings: overrides by their dotted names, as ``**{"model.width": 256}``.

    Raises:
        UserError: as of :func:`chiasm.recipe.load_recipe` and :func:`chiasm.assembly.train_run`.
    """
    from chiasm.recipe import load_recipe

    read = load_recipe(Path(recipe), settings)
    from chiasm.assembly import train_run  # imports torch: mistakes in the recipe come before

    folder = Path(out or Path("runs") / read.name)
    train_run(read, folder, fresh=fresh, command=f"chiasm.train({str(recipe)!r}, {str(folder)!r})")
    return load(folder, read.training.device)


def evaluate(run: str | Path, **settings: Any) -> Evaluation:
    """Evaluates a run on held-out data, writes its report.html, and returns the evaluation.

    Args:
        run: the run folder.
        settings: overrides by their dotted names, as ``**{"evaluation.drawings": 100}``.

    Raises:
        UserError: as of :func:`chiasm.assembly.measured.evaluate_run`.
    """
    from chiasm.assembly.measured import evaluate_run

    command = f"chiasm.evaluate({str(run)!r})"
    evaluation, files = evaluate_run(Path(run), settings, command=command)
    print(f"the report is {files.page}")
    return evaluation


def sources(recipe: str | Path, **settings: Any) -> Material:
    """Returns the opened sources of a recipe, for inspection: ``.train[name][i]`` is a document.

    Raises:
        UserError: as of :func:`chiasm.recipe.load_recipe`; a source that cannot be opened.
    """
    from chiasm.recipe import load_recipe

    read = load_recipe(Path(recipe), settings)
    from chiasm.assembly import open_material

    return open_material(read)
