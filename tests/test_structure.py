"""Data flows one way: a folder imports only from folders above it, a file from files above it.

The order of the folders stands here; the order of the files of a folder is the
one in which its ``__init__`` docstring lists them. What a part may load besides is seen in
``sys.modules`` of a process of its own.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chiasm.inference.pretrained import Pretrained

PACKAGE = Path(__file__).parents[1] / "chiasm"

ORDER = [
    *(
        "errors",
        "hub",
        "stop",
        "threads",
        "settings",
        "registry",
        "toml",
        "roles",
        "poses",
        "rgb",
        "device",
        "flow",
        "documents",
    ),
    *("actions", "worlds", "batch", "model", "tokenizers", "data", "loop", "vision", "inference"),
    *("training", "worldmodel", "walk", "evaluation", "report", "recipe", "assembly"),
    *("scaling", "studies", "paper", "cli"),
]

NOT_OF_A_TRAINED_MODEL = {
    *("training", "worlds", "worldmodel", "walk", "evaluation", "report", "recipe", "assembly"),
    *("scaling", "studies", "paper", "cli", "vision.learning", "vision.cached"),
}
"""Of chiasm: what neither loading a model nor sampling from it reads."""

NOT_OF_A_TRAINED_MODEL_EITHER = {
    *("absl", "grain", "tensorboard", "datasets", "pyarrow", "transformers", "diffusers"),
    *("vizdoom", "evo", "matplotlib", "typer", "rich"),
}
"""Of other libraries."""

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


def modules_of(*folders: str) -> str:
    """Python that imports every module of these folders."""
    paths = [path for folder in folders for path in sorted((PACKAGE / folder).rglob("*.py"))]
    names = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in paths]
    return "".join(f"import {name.removesuffix('.__init__')}\n" for name in names)


def loaded(code: str, *arguments: str) -> set[str]:
    """Names of the modules that a new process has loaded when it has run ``code``."""
    code += "\nimport sys; print(*sys.modules, sep='\\n')"
    command = [sys.executable, "-c", code, *arguments]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_the_package_alone_is_cheap() -> None:
    names = loaded("import chiasm")
    assert "chiasm.documents" in names
    assert not names & {"torch", "pydantic", "chiasm.settings"}


def test_model_and_batch_read_no_data() -> None:
    names = loaded(modules_of("batch", "model"))
    assert {"chiasm.batch.packed", "chiasm.model.decoder"} <= names
    assert not {name for name in names if name.startswith("chiasm.data")}


USE = """
import sys, chiasm
from chiasm.documents import Image, Text
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler
model = chiasm.load(sys.argv[1])
request = Request((Text("view"),), opens=True)
[spans] = Sampler(model).generate([request], SamplingSettings(steps=1, max_tokens=1))
assert isinstance(spans[0], Image)
"""


def test_a_trained_model_loads_neither_training_nor_worlds_nor_their_libraries(
    world_model: Pretrained, tmp_path: Path
) -> None:
    """A server that samples needs no game engine, no data loader and nothing of training."""
    world_model.save(tmp_path / "model")
    names = loaded(modules_of("inference") + USE, str(tmp_path / "model"))
    assert {"chiasm.inference.sampler", "chiasm.model.decoder"} <= names
    unwanted = {f"chiasm.{name}" for name in NOT_OF_A_TRAINED_MODEL} | NOT_OF_A_TRAINED_MODEL_EITHER
    assert not names & unwanted


def test_files_are_one_noun_each() -> None:
    long = {
        str(path): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 320
    }
    assert not long
