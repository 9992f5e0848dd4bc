"""The studies that ship: valid, alike within themselves, and with a source for every number."""

from pathlib import Path

import pytest

from chiasm.recipe import load_recipe
from chiasm.studies.cells import expand
from chiasm.studies.settings import load_study

FOLDER = Path(__file__).parents[2] / "recipes" / "studies"
BASE = FOLDER / "embedded-world.toml"
SOUNDING = FOLDER / "sounding-world.toml"
STUDIES = sorted(set(FOLDER.glob("*.toml")) - {BASE, SOUNDING})

COMPARE_TOKENIZERS = {
    "tokenizers",
    "encoder-layers",
    "encoder-last-layers",
    "targets",
    "progressive-stack",
}


def test_the_base_recipes_are_valid():
    assert set(load_recipe(BASE).stream.sources) >= {"text", "image_text", "video", "vqa"}
    assert set(load_recipe(SOUNDING).stream.sources) == {"text", "image_text", "sound_text"}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_shipped_studies_are_valid(path):
    study = load_study(path)
    cells = expand(study)
    assert study.name == path.stem
    assert study.recipe in (BASE, SOUNDING)
    assert len({cell.key for cell in cells}) == len(cells)
    # Cells share their tokenizers, unless these are what is compared.
    tokenizers = {(str(cell.recipe.streams), str(cell.recipe.vision_training)) for cell in cells}
    assert len({cell.inputs_key for cell in cells}) == len(tokenizers)
    assert len(tokenizers) == 1 or path.stem in COMPARE_TOKENIZERS
    assert len(study.seeds) >= (3 if study.published else 2)
    assert all("arXiv" in entry.source for entry in study.published)
    assert f"chiasm study run recipes/studies/{path.name}" in path.read_text()
