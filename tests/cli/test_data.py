"""``chiasm data inspect``: what was found under each source's path."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from typer.testing import CliRunner

from chiasm.cli.data import app
from chiasm.errors import UserError

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


@pytest.mark.slow
def test_nothing_is_written_that_was_not_asked_for(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    result = CliRunner().invoke(app, ["inspect", str(recipe)])
    assert result.exit_code == 0, result.output
    assert "--out row.png draws the row" in result.output
    assert not list(here.iterdir())
    wrong = ["inspect", str(recipe), "--out", str(here / "nowhere/row.png")]
    told = CliRunner().invoke(app, wrong).exception
    assert isinstance(told, UserError)
    assert "nowhere" in str(told)


@pytest.mark.slow
def test_a_page_of_what_sources_hold_is_written(recipe: Path, tmp_path: Path):
    out = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["stats", str(recipe), "--out", str(out), "--documents", "9"])
    assert result.exit_code == 0, result.output
    assert "pairs, train" in result.output
    assert out.read_text().count("<img") > 5
    found = json.loads(out.with_suffix(".json").read_text())
    assert found["sources"]["pairs"]["skipped"] == {"picture file missing": 1, "no caption": 1}
    train = found["read"]["train pairs"]
    assert train["documents"] == 9
    assert train["pictures"] == train["items"]["image"] == 9
    assert train["sizes"]["half"] == [8, 8, 0.0]


@pytest.mark.slow
def test_what_cannot_be_used_is_named_and_the_exit_status_tells(recipe: Path, tmp_path: Path):
    lines = (tmp_path / "pairs" / "metadata.jsonl").read_text().splitlines()
    (tmp_path / "pairs" / "metadata.jsonl").write_text("\n".join(lines[:20]))
    result = CliRunner().invoke(app, ["check", str(recipe)])
    assert result.exit_code == 0, result.output
    assert "everything can be used" in result.output
    (tmp_path / "pairs" / "5.png").write_bytes(b"no picture")
    result = CliRunner().invoke(app, ["check", str(recipe)])
    assert result.exit_code == 1
    assert "documents: a picture cannot be decoded" in result.output
    assert "5.png cannot be decoded" in result.output
    assert "2 rows and documents cannot be used" in result.output
    (tmp_path / "pairs" / "7.png").unlink()
    result = CliRunner().invoke(app, ["check", str(recipe)])
    assert "pairs: 1 rows: picture file missing\n  " in result.output
    assert "picture file missing: " in result.output
    assert "7.png\n" in result.output


DRIVE = """
name = "driven"
streams.image = {{ kind = "pixels", image_pixels = 8, patch_pixels = 4 }}
stream.sequence_length = 128
tokenizer.vocabulary_tokens = 280
actions.controls.steering.range = [-1.0, 1.0]

[stream.sources]
stories = {{ kind = "text", path = "{folder}/stories.txt" }}
car = {{ kind = "catalog", task = "action_video", path = "{folder}/car", held_out_fraction = 0.3 }}
"""

BACK = """
name = "back"
streams.image = {{ kind = "pixels", image_pixels = 8, patch_pixels = 4 }}
stream.sequence_length = 128
tokenizer.vocabulary_tokens = 280
actions.controls.steering.range = [-1.0, 1.0]
stream.sources.car = {{ kind = "lerobot", task = "action_video", path = "{folder}" }}
"""


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    (tmp_path / "car").mkdir()
    (tmp_path / "stories.txt").write_text("one day it rained\n" * 50)
    rows = []
    for number in range(30):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        PillowImage.fromarray(pixels).save(tmp_path / "car" / f"{number}.png")
        own = {"timestamp_ms": 100 * number, "steering": number / 30, "session": number // 10}
        rows.append({"image": f"{number}.png"} | own)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "car" / "log.jsonl").write_text(text)
    path = tmp_path / "drive.toml"
    path.write_text(DRIVE.format(folder=tmp_path))
    return path


def test_walks_are_exported_and_read_as_what_they_were(drive: Path, tmp_path: Path):
    """The only source of walks needs no name; others are not opened."""
    (tmp_path / "stories.txt").unlink()
    out = tmp_path / "set"
    result = CliRunner().invoke(app, ["export", str(drive), str(out)])
    assert result.exit_code == 0, result.output
    assert "3 episodes of 30 frames" in result.output
    assert "10 a second" in result.output
    recipe = tmp_path / "back.toml"
    recipe.write_text(BACK.format(folder=out))
    result = CliRunner().invoke(app, ["inspect", str(recipe), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["sources"]["car"]
    assert (found["rows"], found["skipped"]) == (30, {})
    assert "controls: steering (-1 to 1)" in found["notes"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--source", "bike"], "--source bike: the sources are stories, car"),
        (["--source", "stories"], "has no walks"),
        (["--format", "rlds"], "rlds"),
        (["--crf", "60"], "51"),
    ],
)
def test_what_cannot_be_exported_is_told(
    options: list[str], complaint: str, drive: Path, tmp_path: Path
):
    out = tmp_path / "set"
    result = CliRunner().invoke(app, ["export", str(drive), str(out), *options])
    assert result.exit_code != 0
    assert complaint in f"{result.output} {result.exception}"
    assert not out.exists()


def test_a_folder_that_exists_is_not_written_to(drive: Path, tmp_path: Path):
    result = CliRunner().invoke(app, ["export", str(drive), str(tmp_path)])
    assert "exists already" in str(result.exception)
