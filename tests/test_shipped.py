"""What comes with the package is found in a clone, and in a wheel from an empty folder."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.recipe import load_recipe
from chiasm.shipped import MODELS, purpose, shipped_model, shipped_recipe, shipped_recipes

ROOT = Path(__file__).parents[1]


def test_every_recipe_is_named_and_says_what_it_is_for() -> None:
    recipes = shipped_recipes()
    assert set(recipes.values()) == set((ROOT / "recipes").rglob("*.toml"))
    assert recipes["studies/targets"] == ROOT / "recipes" / "studies" / "targets.toml"
    for file in recipes.values():
        assert 15 < len(purpose(file)) < 260, file
        assert purpose(file).endswith((".", "?")), file


@pytest.mark.parametrize("name", ["quickstart", "quickstart.toml", "recipes/quickstart.toml"])
def test_a_recipe_is_found_by_its_name(name: str) -> None:
    assert shipped_recipe(name) == ROOT / "recipes" / "quickstart.toml"


def test_one_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match="no recipe is called qickstart; chiasm recipes list"):
        shipped_recipe("qickstart")


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_the_package_is_what_its_recipe_makes(name: str) -> None:
    folder = shipped_model(name)
    sums = [line.split("  ", 1) for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert {file for _, file in sums} == {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("SHA256SUMS", "README.md")
    }
    for digest, file in sums:
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest, file
    assert sum((folder / file).stat().st_size for _, file in sums) < 24e6
    trained, today = load_recipe(folder / "recipe.toml"), load_recipe(shipped_recipe(name))
    assert trained.model == today.model
    assert trained.stream.sources.keys() == today.stream.sources.keys()
    assert trained.training.steps == today.training.steps


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_the_package_opens_by_its_name(name: str) -> None:
    model = Pretrained.load(name)
    assert model.draws
    assert model.decoder.settings == load_recipe(shipped_recipe(name)).model


@pytest.mark.slow
def test_a_wheel_holds_them_and_works_in_an_empty_folder(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", "77", reason="setuptools 77 or later makes the wheel")
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    kept = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True)
    if kept.returncode:
        pytest.skip("the files of a wheel are those of a clone")
    source, empty = tmp_path / "source", tmp_path / "empty"
    for name in kept.stdout.split("\n"):
        wanted = name.startswith(("chiasm/", "recipes/", "docs/results/")) or "/" not in name
        if name and wanted and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    backend = "import sys, setuptools.build_meta as b; b.build_wheel(sys.argv[1])"
    made = subprocess.run(
        [sys.executable, "-c", backend, str(tmp_path)], cwd=source, capture_output=True, text=True
    )
    assert not made.returncode, made.stderr
    [wheel] = tmp_path.glob("*.whl")
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")

    def told(*words: str) -> str:
        run = subprocess.run(
            [sys.executable, "-m", "chiasm", *words],
            cwd=empty,
            env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
            capture_output=True,
            text=True,
        )
        assert not run.returncode, run.stderr
        return run.stdout

    listed = told("recipes", "list").splitlines()
    assert len(listed) == len(shipped_recipes())
    told("recipes", "copy", "studies/targets", "mine")
    assert {file.name for file in (empty / "mine").iterdir()} == {
        "targets.toml",
        "embedded-world.toml",
    }
    page = told("report", "paper").splitlines()[-1]
    assert int(page.split(" of ")[0]) > 10, page
