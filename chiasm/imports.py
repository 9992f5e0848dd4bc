"""Users' modules that a recipe imports: they register sources, tokenizers and attentions."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from chiasm.errors import UserError

_REMEDY = "give a module that Python finds, or a file that ends in .py"


def import_all(names: Sequence[str], folder: Path) -> list[str]:
    """Imports modules by their dotted names, and files that end in ``.py``.

    Args:
        names: names as in a recipe's ``imports``.
        folder: folder of the recipe; files not in it are looked for in the working directory.

    Returns:
        the same names, with the paths of files made absolute.

    Raises:
        UserError: one does not exist, or cannot be imported.
    """
    return [_imported(name, folder) for name in names]


def _imported(name: str, folder: Path) -> str:
    path = None
    if name.endswith(".py"):
        tried = [(base / Path(name).expanduser()).resolve() for base in (folder, Path.cwd())]
        path = next((each for each in tried if each.is_file()), None)
        if path is None:
            raise UserError("is no file", setting="imports", value=name, remedy=_REMEDY)
    try:
        if path is None:
            importlib.import_module(name)
        else:
            _run(path)
    except Exception as error:
        what = f"cannot be imported: {type(error).__name__}: {error}{_line(error, path)}"
        missing = isinstance(error, ModuleNotFoundError) and error.name == name.split(".")[0]
        remedy = _REMEDY if missing else "mend it, or install what it needs"
        raise UserError(what, setting="imports", value=name, remedy=remedy) from error
    return name if path is None else str(path)


def _line(error: Exception, path: Path | None) -> str:
    """Returns the last line of the user's file that ran; syntax errors name their own."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f" (line {lines[-1]})" if lines else ""


def _run(path: Path) -> None:
    """Imports a file, unless it or a file of equal name and content was imported before."""
    name = f"{path.stem}_{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    if name in sys.modules or any(_file(module) == path for module in [*sys.modules.values()]):
        return
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    if path.parent in map(Path, map(os.path.realpath, sys.path)):
        sys.modules.setdefault(path.stem, module)  # a later `import` finds this one


def _file(module: ModuleType) -> Path | None:
    file = vars(module).get("__file__")  # without asking modules that load their names lazily
    return Path(file).resolve() if isinstance(file, str) else None
