"""Trackers: their own packages where they are installed, and their calls where one is not."""

import json
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chiasm.assembly import train_run
from chiasm.errors import UserError
from chiasm.loop.metrics import MetricsLog, read_metrics
from chiasm.loop.progress import StepReport
from chiasm.loop.tracker import Tracker, TrackerSettings
from chiasm.recipe import load_recipe

PACKAGE = """
import json, os
from pathlib import Path
KEPT = Path(__file__).with_name("kept.jsonl")
class Settings(dict):
    def __init__(self, **given): self.update(given)
def keep(**line):
    with KEPT.open("a") as file: file.write(json.dumps(line) + "\\n")
class Run:
    def log(self, values, step):
        if step == int(os.environ.get("FAILS_AT", -1)): raise ConnectionError("no route\\nmore")
        keep(step=step, values=values)
    def finish(self): keep(finished=True)
def init(**given):
    keep(begun=given)
    if "FAILS_AT_ONCE" in os.environ: raise ValueError("no account")
    return Run()
"""
"""A package with the calls of wandb's that are made."""


@pytest.fixture
def package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Installs it as wandb; gives what reads its lines."""
    (tmp_path / "wandb.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    kept = tmp_path / "kept.jsonl"
    yield lambda: [json.loads(line) for line in kept.read_text().splitlines()]
    sys.modules.pop("wandb", None)


def trained(
    tiny_recipe: Callable[..., Path],
    folder: Path,
    *settings: str,
    on_step: Callable[[StepReport], None] = lambda report: None,
) -> list[str]:
    """What a run tells."""
    told: list[str] = []
    own = ("training.tracker.kind=wandb", "training.tracker.project=ours", *settings)
    recipe = load_recipe(tiny_recipe(folder / "recipe.toml", *own))
    train_run(recipe, folder / "run", tell=told.append, on_step=on_step)
    return told


@pytest.mark.slow
def test_a_resumed_run_goes_on_in_the_same_run_of_the_tracker(
    package: Callable[[], list[dict[str, Any]]], tiny_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    class Killed(Exception): ...

    def kill(report: StepReport) -> None:
        if report.step == 7:
            raise Killed

    with pytest.raises(Killed):
        trained(tiny_recipe, tmp_path, on_step=kill)
    trained(tiny_recipe, tmp_path)
    lines = package()
    first, second = (line["begun"] for line in lines if "begun" in line)
    assert first == second
    assert (first["project"], first["name"], first["resume"]) == ("ours", "tiny", "allow")
    assert first["config"]["model"]["width"] == 16
    sent = [line for line in lines if "step" in line]
    steps = [line["step"] for line in sent if "train/loss" in line["values"]]
    assert steps == [*range(1, 8), *range(6, 11)], "from the checkpoint of step 5"
    of_files = {
        line["step"]: line["loss"]
        for line in read_metrics(tmp_path / "run" / "metrics.jsonl")
        if line["phase"] == "train"
    }
    for line in sent:
        if "train/loss" in line["values"]:
            assert line["values"]["train/loss"] == of_files[line["step"]]
    assert any("validation/loss" in line["values"] for line in sent)
    assert lines[-1] == {"finished": True}


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["FAILS_AT", "FAILS_AT_ONCE"])
def test_a_tracker_that_fails_is_told_once_and_stops_nothing(
    package: Callable[[], list[dict[str, Any]]],
    tiny_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, "3")
    told = trained(tiny_recipe, tmp_path)
    why = {"FAILS_AT": "no route", "FAILS_AT_ONCE": "no account"}[variable]
    [line] = [line for line in told if "wandb" in line]
    assert line == (
        f"training goes on without wandb, which fails: {why}; metrics.jsonl and tensorboard/ have "
        "every number"
    )
    assert read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]["step"] == 10
    assert (tmp_path / "run" / "model").is_dir()
    assert max(line.get("step", 0) for line in package()) == (2 if variable == "FAILS_AT" else 0)


@pytest.mark.slow
def test_the_tracker_may_change_when_a_run_goes_on(
    package: Callable[[], list[dict[str, Any]]], tiny_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    for project in ("ours", "theirs"):
        trained(tiny_recipe, tmp_path, f"training.tracker.project={project}")
    assert package()[-1] == {"finished": True}
    begun = [line["begun"] for line in package() if "begun" in line]
    assert len({each["id"] for each in begun}) == len(begun) == 2


def test_a_package_that_is_absent_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "trackio", raising=False)
    with pytest.raises(UserError, match=r"^kind = 'trackio' .*not installed; pip install trackio"):
        TrackerSettings(kind="trackio").check()
    TrackerSettings().check()


@pytest.fixture
def logged(tmp_path: Path) -> Callable[[str], Path]:
    """Metrics of a run that was resumed after two steps, sent to a package itself."""

    def log(kind: str) -> Path:
        told: list[str] = []
        for begun, steps in ((0, (1, 2, 3)), (2, (3, 4))):
            settings = TrackerSettings(kind=kind, project="ours")
            tracker = Tracker(settings, tmp_path, {"name": "mine", "width": 16}, told.append)
            with_nan = {"loss": 0.5, "flow_loss": float("nan")}
            own = MetricsLog(tmp_path, begun, tracker)
            for step in steps:
                own.write("train", step, with_nan | {"loss": 1 / step}, {"seconds": 2.0})
            own.write("validation", step, {"loss": 2.0}, {})
            own.close()
        assert told == []
        return tmp_path

    return log


def history(file: Path) -> dict[int, dict[str, float]]:
    """The numbers that wandb's file holds, by step: records in blocks, as LevelDB's logs."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, record = file.read_bytes(), 7, b""
    found: dict[int, dict[str, float]] = {}
    while place + 7 <= len(content):
        if (left := 32_768 - place % 32_768) < 7:
            place += left
            continue
        size, kind = struct.unpack_from("<HB", content, place + 4)
        record += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last part
            items = Record.FromString(record).history.item
            values = {(i.key or i.nested_key[0]): json.loads(i.value_json) for i in items}
            if values:
                found.setdefault(int(values["_step"]), {}).update(values)
            record = b""
    return found


@pytest.mark.slow
def test_wandb_itself_keeps_the_numbers(
    logged: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network, as it keeps them for a later ``wandb sync``."""
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = logged("wandb")
    wandb.teardown()  # its own process has then written all
    own = json.loads((folder / "tracker.json").read_text())["id"]
    files = sorted(folder.glob(f"wandb/offline-run-*/run-{own}.wandb"))
    assert len(files) == 2
    assert history(files[0])[3]["train/loss"] == 1 / 3
    assert history(files[1])[4]["train/loss"] == 1 / 4
    assert history(files[1])[4]["validation/loss"] == 2.0
    assert history(files[1])[4]["train/seconds"] == 2.0


@pytest.mark.slow
def test_trackio_itself_keeps_the_numbers(
    logged: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "kept"))
    pytest.importorskip("trackio", reason="trackio is not installed")
    from trackio.sqlite_storage import SQLiteStorage

    folder = logged("trackio")
    own = json.loads((folder / "tracker.json").read_text())["id"]
    lines = SQLiteStorage.get_logs("ours", f"mine {own}")
    steps = [line["step"] for line in lines if "train/loss" in line]
    assert steps == [1, 2, 3, 3, 4]
    assert lines[-2]["train/loss"] == 1 / 4
    assert lines[-1]["validation/loss"] == 2.0
