"""Files that come with the package beside its code: recipes, studies, kept results, a model.

In a clone the first three lie where they are edited; a wheel holds copies (``setup.py``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

from chiasm.errors import UserError

PACKAGE = Path(__file__).parent
INSTALLED, CLONED = PACKAGE / "shipped", PACKAGE.parent

MODELS = ("embedded-world",)
"""Trained models in the package, for use before any training; the first one is the default."""


def shipped_model(name: str) -> Path:
    """Returns the folder of a trained model: an export of the recipe of its name."""
    return PACKAGE / "pretrained" / name


def shipped_files(folder: str) -> Path:
    """Returns the folder that is ``folder`` in a clone, such as ``recipes``."""
    inside = INSTALLED / folder
    return inside if inside.is_dir() else CLONED / folder


def shipped_recipes() -> Mapping[str, Path]:
    """Returns name → file of every recipe, studies as ``studies/NAME``."""
    folder = shipped_files("recipes")
    files = sorted(folder.glob("*.toml")) + sorted(folder.glob("studies/*.toml"))
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}


def shipped_recipe(name: str) -> Path:
    """Returns the file of a recipe, named with or without ``recipes/`` and ``.toml``.

    Raises:
        UserError: there is none of that name.
    """
    wanted = name.removeprefix("recipes/").removesuffix(".toml")
    recipes = shipped_recipes()
    if wanted not in recipes:
        raise UserError(f"no recipe is called {name}; chiasm recipes list names them all")
    return recipes[wanted]


def purpose(recipe: Path) -> str:
    """Returns the first sentence of a recipe's comment; commands in it are indented."""
    lines = recipe.read_text().splitlines()
    words = takewhile(lambda line: line.startswith("# ") and line[2] != " ", lines)
    text = " ".join(line.removeprefix("# ") for line in words).removesuffix(":")
    sentence = re.match(r".*?[.?](?= |$)", text)
    return sentence[0] if sentence else f"{text}."
