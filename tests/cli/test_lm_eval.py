"""``chiasm lm-eval``: the harness's own command line with a model of ours."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chiasm.cli import app
from chiasm.errors import UserError

INSTALLED = importlib.util.find_spec("lm_eval") is not None

TASK = """
task: mine
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}, cache_dir: {cache}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{asked}}}}"
doc_to_target: 0
doc_to_choice: ["view", "action"]
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""


@pytest.mark.skipif(INSTALLED, reason="lm-evaluation-harness is installed")
def test_without_the_harness_it_says_what_to_install() -> None:
    result = CliRunner().invoke(app, ["lm-eval", "run", "--tasks", "x"])
    assert isinstance(result.exception, UserError)
    assert 'pip install "chiasm[harness]"' in str(result.exception)


def test_a_folder_of_tasks_that_is_not_there_is_one_message(tmp_path: Path) -> None:
    options = ["--tasks", "mine", f"--include_path={tmp_path}/nowhere"]
    result = CliRunner().invoke(app, ["lm-eval", "run", *options])
    assert isinstance(result.exception, UserError)
    assert f"--include_path {tmp_path}/nowhere is no folder" in str(result.exception)


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED, reason='needs pip install "chiasm[harness]"')
@pytest.mark.parametrize(
    ("options", "why"),
    [(["--tasks", "nosuch"], "Tasks not found: nosuch"), ([], "No tasks specified")],
)
def test_tasks_that_the_harness_has_not_are_one_message(
    options: list[str], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["chiasm"])
    result = CliRunner().invoke(app, ["lm-eval", "run", *options])
    assert isinstance(result.exception, UserError)
    assert why in str(result.exception)
    assert "lm-eval ls tasks" in str(result.exception)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not INSTALLED, reason='needs pip install "chiasm[harness]"')
def test_a_task_is_answered_and_its_results_are_written(
    world_model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(sys, "argv", ["chiasm"])
    world_model.save(tmp_path / "model")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "data.jsonl").write_text('{"asked": "a"}\n{"asked": "b"}\n')
    task = TASK.format(data=tmp_path / "data.jsonl", cache=tmp_path / "cache")
    (tmp_path / "tasks" / "mine.yaml").write_text(task)
    options = ["--tasks", "mine", "--include_path", tmp_path / "tasks", "--device", "cpu"]
    output = ["--output_path", tmp_path / "results"]
    arguments = ["lm-eval", tmp_path / "model", *options, *output]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    [written] = (tmp_path / "results").rglob("results_*.json")
    record = json.loads(written.read_text())
    assert record["results"]["mine"]["acc,none"] in (0, 0.5, 1)
    assert record["config"]["model"] == "chiasm"
