"""Data flows one way: a folder imports only from folders above it, a file from files above it.

The order of the folders stands here; the order of the files of a folder is the
one in which its ``__init__`` docstring lists them. What a part may load besides is seen in
``sys.modules`` of a process of its own.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from chiasm.cli import MODULES
from chiasm.inference.pretrained import Pretrained

pytestmark = pytest.mark.slow

PACKAGE = Path(__file__).parents[1] / "chiasm"

ORDER = [
    *(
        "errors",
        "intervals",
        "hub",
        "whole",
        "public",
        "slurm",
        "stop",
        "threads",
        "settings",
        "fields",
        "registry",
        "earlier",
        "shipped",
        "toml",
        "roles",
        "poses",
        "fitting",
        "video",
        "rgb",
        "waveform",
        "device",
        "ranks",
        "rendezvous",
        "flow",
        "documents",
    ),
    *("controls", "actions", "capabilities", "imports", "batch", "model", "tokenizers"),
    *("data", "worlds", "providers", "loop", "vision", "sound", "inference", "training"),
    *("worldmodel", "loopback", "walk", "evaluation", "prompts", "trained", "harness", "report"),
    *("demo", "recipe", "assembly", "scaling", "studies", "paper", "cli"),
]

NOT_OF_A_TRAINED_MODEL = {
    *("training", "worlds", "worldmodel", "loopback", "walk", "evaluation", "report", "demo"),
    *("harness", "recipe", "assembly", "scaling", "studies", "paper", "cli", "vision.learning"),
    *("vision.cached", "sound.learning"),
}
"""Of chiasm: what neither loading a model nor sampling from it reads."""

NOT_OF_A_TRAINED_MODEL_EITHER = {
    *("absl", "grain", "tensorboard", "datasets", "pyarrow", "transformers", "diffusers"),
    *("vizdoom", "evo", "matplotlib", "typer", "rich"),
}
"""Of other libraries."""

NOT_OF_A_RECIPE = {
    *("torch", "torchvision", "tensorboard", "safetensors", "transformers", "tokenizers"),
    *("diffusers", "grain", "datasets", "matplotlib", "vizdoom", "evo", "av"),
}
"""Libraries that reading a recipe loads none of, wherever its mistake is."""

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


@cache
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
    """Until the command line can be interrupted, nothing is imported that takes its time."""
    assert not loaded("import chiasm.__main__") & {"chiasm.documents", "numpy", "chiasm.errors"}
    names = loaded("from chiasm import Image")
    assert "chiasm.documents" in names
    assert not names & {"torch", "pydantic", "chiasm.settings"}


def test_a_list_of_verbs_is_cheap() -> None:
    names = loaded(
        "import contextlib, io\nfrom chiasm.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()) as told:\n"
        "    try: main()\n"
        "    except SystemExit: assert 'quickstart' in told.getvalue()",
        "--help",
    )
    assert "chiasm.cli" in names
    assert not names & (NOT_OF_A_RECIPE | {"pydantic", "chiasm.recipe", "chiasm.cli.train"})


RECIPES = PACKAGE.parent / "recipes"

MISTAKEN = {
    "train": ("quickstart.toml", "model.widht"),
    "launch": ("quickstart.toml", "model.widht"),
    "rehearse": ("quickstart.toml", "model.widht"),
    "data inspect": ("quickstart.toml", "model.widht"),
    "vision stats --out OUT": ("quickstart.toml", "model.widht"),
    "vision encode --out OUT": ("quickstart.toml", "model.widht"),
    "vision train --out OUT": ("vision-vae.toml", "sede"),
    "sound train --out OUT": ("vocoder.toml", "sede"),
    "study plan": ("studies/targets.toml", "sede"),
}
"""Verb → what it reads, and a setting of it that nothing has."""


TOLD = """
import json, sys
from chiasm.cli import app
from chiasm.errors import UserError
forbidden = set(json.loads(sys.argv[1]))
for name, arguments in json.loads(sys.argv[2]):
    try: app(arguments)
    except UserError as error: assert name in str(error), error
    else: raise AssertionError(arguments)
    assert "chiasm.toml" in sys.modules
    assert not forbidden & set(sys.modules), (arguments, forbidden & set(sys.modules))
"""


def test_a_mistake_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    """In a file, and in an override; of a run that is evaluated, the folder holds the recipe."""
    mistakes = []
    for number, (verb, (file, name)) in enumerate(MISTAKEN.items()):
        wrong = tmp_path / f"wrong-{number}.toml"
        table, _, last = name.rpartition(".")
        text = (RECIPES / file).read_text()
        wrong.write_text(
            text.replace(f"[{table}]", f"[{table}]\n{last} = 8") if table else f"{last} = 8\n{text}"
        )
        mistakes.append((name, [*verb.replace("OUT", str(tmp_path / "out")).split(), str(wrong)]))
    shutil.copy(RECIPES / "quickstart.toml", tmp_path / "recipe.toml")
    for verb, given in (("train", tmp_path / "recipe.toml"), ("evaluate", tmp_path)):
        mistakes.append(("model.widht", [verb, str(given), "--set", "model.widht=8"]))
    loaded(TOLD, json.dumps(sorted(NOT_OF_A_RECIPE)), json.dumps(mistakes))


MISTYPED = """
import sys
from chiasm.cli import MODULES
from chiasm.cli.verbs import load_verb
for verb in sys.argv[1:]:
    try: load_verb(verb, MODULES[verb]).make_context(verb, ["there", "--seeed", "1"])
    except Exception as error: assert "--seeed" in str(error), error
    else: raise AssertionError(verb)
"""


def test_a_mistyped_option_is_told_before_torch_is_imported() -> None:
    verbs = (
        *("quickstart", "train", "launch", "rehearse", "sample", "imagine", "walk", "evaluate"),
        "demo",
        "plan",
        "experts",
    )
    names = loaded(MISTYPED, *verbs)
    assert {f"chiasm.cli.{MODULES[verb]}" for verb in verbs} <= names
    assert not names & NOT_OF_A_RECIPE


READ = """
import sys
from pathlib import Path
from chiasm.recipe import load_recipe
from chiasm.toml import load_settings
from chiasm.sound.learning.settings import SoundTrainingSettings
from chiasm.vision.learning.settings import VisionTrainingSettings
for path in map(Path, sys.argv[1:]):
    if path.name.startswith("vision-"):
        load_settings(VisionTrainingSettings, path, [])
    elif path.name == "vocoder.toml":
        load_settings(SoundTrainingSettings, path, [])
    else:
        load_recipe(path)
"""


def test_every_recipe_is_read_without_torch() -> None:
    """All their kinds of sources, tokenizers, decoders and attention are known without it."""
    recipes = sorted(map(str, RECIPES.glob("*.toml")))
    assert len(recipes) > 5
    assert not loaded(READ, *recipes) & NOT_OF_A_RECIPE


def test_model_and_batch_read_no_data() -> None:
    names = loaded(modules_of("batch", "model"))
    assert {"chiasm.batch.packed", "chiasm.model.decoder"} <= names
    assert not {name for name in names if name.startswith("chiasm.data")}


PRESENTING = {"figures.py", "report.py"}
"""Of scaling: what draws and writes fits by the report's means."""

LAWS = """
import sys
from pathlib import Path
from chiasm.scaling.forecast import optimum, relative_growth
from chiasm.scaling.fit import fit_points
from chiasm.scaling.optima import fit_optima, paper_optima
from chiasm.scaling.points import read_points
from chiasm.scaling.record import read_fit, write_fit
fit = fit_points(read_points(Path(sys.argv[1])).points, resamples=100)
assert any(own.estimates for own in fit.modalities.values())
write_fit(fit_optima(paper_optima("paper-dense")), Path(sys.argv[2]))
text, vision = (own.estimates["optima"] for own in read_fit(Path(sys.argv[2])).modalities.values())
assert optimum(text, 1e22).size.low > 0
assert relative_growth(vision, text, 1e11).value > 1
"""


def test_laws_need_neither_torch_nor_a_model(tmp_path: Path) -> None:
    """Scaling is statistics: tables are fitted and forecasts made without the rest of chiasm."""
    files = [path for path in (PACKAGE / "scaling").glob("*.py") if path.name not in PRESENTING]
    for path in files:
        own = {name.split(".")[1] for name in imports(path)}
        assert own <= {"scaling", "errors", "intervals"}, f"{path} imports more of chiasm"
    table = PACKAGE.parent / "docs" / "results" / "isoflop-moe" / "points.csv"
    names = loaded(LAWS, str(table), str(tmp_path / "fit.json"))
    assert "chiasm.scaling.approaches" in names
    assert not names & {"torch", "pydantic", "matplotlib"}
    assert not {name for name in names if name.startswith(("chiasm.model", "chiasm.studies"))}


FORECAST = """
import sys
from pathlib import Path
from typer.testing import CliRunner
from chiasm.cli import app
from chiasm.scaling.optima import fit_optima, paper_optima
from chiasm.scaling.record import write_fit
write_fit(fit_optima(paper_optima("paper-dense")), Path(sys.argv[1]))
result = CliRunner().invoke(app, ["scaling", "forecast", sys.argv[1], "--budget", "1e22"])
assert result.exit_code == 0, result.output
assert "vision" in result.output
"""


def test_a_forecast_on_the_command_line_needs_no_torch(tmp_path: Path) -> None:
    names = loaded(FORECAST, str(tmp_path / "fit.json"))
    assert "chiasm.cli.scaling" in names
    assert "torch" not in names


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
    assert not names & (unwanted | {"torch._dynamo"})  # the compiler costs as much as torch


def test_files_are_one_noun_each() -> None:
    long = {
        str(path): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 320
    }
    assert not long


OF_NO_FILE = {
    "": "docs golden structure kinds",
    "cli": "broken_files",
    "data": "registration",
    "demo": "page",
    "evaluation": "registration",
    "files": "readers resume",
    "inference": "history_noise",
    "loop": "registration",
    "model": "registration",
    "processes": "nursery",
    "ranks": "equal faults footprint resume vision",
    "sound": "streams",
    "streams": "depth mistakes page series",
    "studies": "shipped",
    "tokenizers": "registration",
    "vision": "native shipped streams",
    "vision/cached": "damage",
    "vision/learning": "killed trained_kinds",
    "vision/published": "decoder_training reference runs",
    "walk": "page",
}
"""Tests by folder that mirror no file: what several do together, what is shipped, users' kinds."""


def test_tests_mirror_the_files_that_they_test() -> None:
    tests = PACKAGE.parent / "tests"
    mirrored = {
        str((path.parent / path.name.removeprefix("test_")).relative_to(tests).with_suffix(""))
        for path in tests.rglob("test_*.py")
    }
    files = {path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")}
    own = {str(path) for file in files for path in (file.with_suffix(""), file.parent)}
    others = {str(Path(folder, n)) for folder, names in OF_NO_FILE.items() for n in names.split()}
    assert mirrored - own == others


def test_one_file_knows_of_the_embedded_world() -> None:
    asking = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "worlds"
        and any(name.startswith("chiasm.worlds") for name in imports(path))
    }
    assert asking == {"providers.py"}


KINDS = [
    (("data",), {"__len__", "__getitem__"}),
    (("worlds",), {"__len__", "__getitem__"}),
    (("tokenizers", "vision", "sound"), {"encode", "decode"}),
    (("tokenizers", "vision", "sound"), {"Part"}),
]
"""Folders, and the methods or the base that make a class of theirs one that nobody asks for."""


@pytest.mark.parametrize(("homes", "like"), KINDS, ids=lambda each: "-".join(sorted(each)))
def test_capabilities_are_asked_for_and_not_classes(homes: tuple[str, ...], like: set[str]) -> None:
    """No isinstance over what these folders define, outside of the folders."""
    known = classes_like(homes, like)
    assert known, f"no class of {homes} has {like}"
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] not in homes:
            asked = known & asked_classes(path)
            assert not asked, f"{path} tells {asked} apart by their class"


def classes_like(homes: tuple[str, ...], like: set[str]) -> set[str]:
    """Classes with these methods, or with a base of this name, and all that derive from them."""
    nodes = [
        node
        for home in homes
        for path in sorted((PACKAGE / home).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    bases = {node.name: {b.id for b in node.bases if isinstance(b, ast.Name)} for node in nodes}
    methods = {
        node.name: {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
        for node in nodes
    }
    known = {name for name in bases if like <= methods[name] or like & bases[name]}
    while more := {name for name in bases if bases[name] & known} - known:
        known |= more
    return known


@cache
def asked_classes(path: Path) -> frozenset[str]:
    """The names in the second argument of every isinstance and issubclass, and in patterns."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.MatchClass):
            found |= {each.id for each in ast.walk(node.cls) if isinstance(each, ast.Name)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            for each in ast.walk(node.args[1]):
                if isinstance(each, ast.Name | ast.Attribute):
                    found.add(each.id if isinstance(each, ast.Name) else each.attr)
    return frozenset(found)
