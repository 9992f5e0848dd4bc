"""Data flows one way: a folder imports only from folders above it, a file from files above it.

The order of the folders stands here; the order of the files of a folder is the
one in which its ``__init__`` docstring lists them.
"""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "chiasm"

ORDER = [
    *(
        "errors",
        "hub",
        "stop",
        "threads",
        "settings",
        "toml",
        "roles",
        "poses",
        "rgb",
        "device",
        "flow",
        "documents",
    ),
    *("actions", "worlds", "batch", "tokenizers", "data", "loop", "vision", "model", "training"),
    *("inference", "worldmodel", "walk", "evaluation", "report", "recipe", "assembly"),
    *("scaling", "studies", "paper", "cli"),
]

FILES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem in ORDER
)


def imports(path: Path) -> set[str]:
    """Dotted names inside chiasm that a file imports, `from a import b` as a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.startswith("chiasm.")}


def listed(folder: Path) -> list[str]:
    """Names of files and folders in the order of the folder's ``__init__`` docstring."""
    if folder == PACKAGE:
        return ORDER
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    return re.findall(r"^\s*(\w+)(?:\.py|/)\s", docstring, flags=re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    """Where an import's way leaves the file's own, it leads to something that is listed before."""
    here = path.relative_to(PACKAGE).with_suffix("").parts
    for name in imports(path):
        folder = PACKAGE
        for own, other in zip(here, name.split(".")[1:], strict=False):
            if own != other:
                order = listed(folder)
                if other in order and own != "__init__":
                    assert order.index(other) < order.index(own), f"{path} imports {name}"
                break
            folder = folder / own


@pytest.mark.parametrize(
    "folder",
    [path.parent for path in sorted(PACKAGE.rglob("__init__.py")) if path.parent != PACKAGE],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_every_file_is_listed(folder: Path) -> None:
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    folders = {path.parent.name for path in folder.glob("*/__init__.py")}
    assert files | folders == set(listed(folder))


def test_every_folder_has_its_place() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} <= set(ORDER)


def test_files_are_one_noun_each() -> None:
    long = {
        str(path): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 320
    }
    assert not long
