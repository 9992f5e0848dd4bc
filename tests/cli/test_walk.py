"""``chiasm walk``: what is refused, and a page that is really served."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import pytest
import typer
from PIL import Image as PillowImage
from typer.testing import CliRunner

from chiasm.cli.walk import walk
from chiasm.inference.walks import WalkDocuments


@pytest.fixture(scope="module")
def model(world_model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model, without a run around it."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    replace(world_model, walks=WalkDocuments(views=2)).save(folder)
    return folder


def refusal(*arguments: object) -> str:
    app = typer.Typer()
    app.command()(walk)
    result = CliRunner().invoke(app, ["--port", "0", *map(str, arguments)])
    assert result.exit_code == 1
    return str(result.exception)


def test_what_cannot_be_walked_is_refused(model: Path, world_model, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    still = tmp_path / "still"
    world_model.save(still)
    assert "trained without actions" in refusal(still)
    assert "two starts" in refusal(model, "--map", 1, "--image", text)
    assert "give its --map" in refusal(model, "--view", 1)
    assert "cannot be read" in refusal(model, "--image", tmp_path / "missing.png")
    assert "notes.txt cannot be decoded" in refusal(model, "--image", text)
    assert "there are 0 held-out" in refusal(model, "--map", 0)
    assert "--host nowhere.invalid" in refusal(model, "--host", "nowhere.invalid")


@pytest.mark.slow
def test_a_page_is_served_until_it_is_interrupted(model: Path, tmp_path: Path) -> None:
    picture = tmp_path / "room.png"
    PillowImage.new("RGB", (9, 9), "red").save(picture)
    command = [sys.executable, "-m", "chiasm", "walk", str(model), "--port", "0"]
    with subprocess.Popen(
        [*command, "--image", str(picture), "--solver-steps", "3"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert address, line
        with urlopen(address[0] + "about") as reply:
            about = json.load(reply)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    assert about["opens"]
    assert about["steps"] == 3
    assert about["starts"] == 0
    assert "embedded world" in about["truth_missing"]
