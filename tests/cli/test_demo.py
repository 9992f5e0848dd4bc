"""``chiasm demo``: what is refused, and a page that is really served."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
import typer
from typer.testing import CliRunner

from chiasm.cli.demo import demo
from chiasm.inference.pretrained import Pretrained


def test_what_cannot_be_served_is_refused(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(demo)
    for arguments, told in (
        (["nowhere/at/all"], "nowhere/at/all does not exist"),
        ([str(tmp_path)], "holds no model"),
        (["run", "--host", "nowhere.invalid"], "--host nowhere.invalid"),
    ):
        result = CliRunner().invoke(app, ["--port", "0", *arguments])
        assert told in str(result.exception)


@pytest.mark.slow
def test_a_page_is_served_until_it_is_interrupted(world_model: Pretrained, tmp_path: Path) -> None:
    world_model.save(tmp_path / "model")
    command = [sys.executable, "-m", "chiasm", "demo", str(tmp_path / "model"), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = re.search(r"demo at (http://127\.0\.0\.1:\d+/)", line)
        assert address, line
        with urlopen(address[1] + "about") as reply:
            about = json.load(reply)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    assert about["title"] == "model"
    assert about["makes"] == ["image"]
    assert "trained without actions" in about["walk"].get("why", "trained without actions")
