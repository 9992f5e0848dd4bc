"""``chiasm data inspect``: what was found under each source's path."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from typer.testing import CliRunner

from chiasm.cli.data import app

RECIPE = """
name = "looked-at"
streams.image = {{ kind = "pixels", image_pixels = 8, patch_pixels = 4 }}
stream.sequence_length = 64
stream.sources.pairs = {{ kind = "image_text", path = "{folder}", held_out_fraction = 0.3 }}
tokenizer.vocabulary_tokens = 280
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    folder.mkdir()
    rows = [{"file_name": f"{k}.png", "caption": f"number {k}"} for k in range(20)]
    for number, row in enumerate(rows):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        PillowImage.fromarray(pixels).save(folder / row["file_name"])
    rows += [{"file_name": "gone.png", "caption": "missing"}, {"file_name": "3.png"}]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "LICENSE.txt").write_text("free")
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(folder=folder))
    return path


def test_what_was_found_is_given_as_json_alone(recipe: Path):
    result = CliRunner().invoke(app, ["inspect", str(recipe), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["sources"]["pairs"]
    assert found["files"] == ["metadata.jsonl"]
    assert (found["column"], found["image_column"]) == ("caption", "file_name")
    assert (found["rows"], found["documents"]) == (22, 40)
    assert 0 < found["held_out"] < 40
    assert found["skipped"] == {"picture file missing": 1, "no caption": 1}
    assert found["notes"] == ["left: LICENSE.txt"]


@pytest.mark.slow
def test_the_line_of_a_source_and_a_row_are_shown(recipe: Path, tmp_path: Path):
    out = tmp_path / "row.png"
    result = CliRunner().invoke(app, ["inspect", str(recipe), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "words from 'caption' -> 40 documents" in result.output
    assert "picture file missing: 1" in result.output
    assert "caption: number" in result.output
    assert out.exists()
