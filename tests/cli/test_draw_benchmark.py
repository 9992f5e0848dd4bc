"""``chiasm draw-benchmark`` and ``score-benchmark``: from a saved model to the table of scores."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from chiasm.cli import app
from chiasm.errors import UserError

LINES = [
    {"tag": "colors", "prompt": "a red cup"},
    {"tag": "counting", "prompt": "two cows"},
]


@pytest.fixture(scope="module")
def model(world_model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "model"
    world_model.save(folder)
    return folder


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "metadata.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_a_benchmark_is_drawn_and_its_scores_are_read(model, prompts, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--samples", 2, "--seed", 3, "--solver-steps", 1, "--device", "cpu")
    told = invoke("draw-benchmark", model, "geneval", prompts, out, *options).output
    assert f"4 files of 2 prompts are in {out}" in told
    assert f"evaluate_images.py {out} --outfile" in told
    assert f"chiasm score-benchmark {out} RESULTS" in told
    results = tmp_path / "results.jsonl"
    lines = [
        {"filename": str(path), "tag": LINES[number]["tag"], "correct": number == 0}
        for number in range(2)
        for path in sorted((out / f"{number:05d}" / "samples").iterdir())
    ]
    results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = invoke("score-benchmark", out, results).output
    assert "mean over tasks" in told
    assert "50.0" in told
    assert "scorer: djghosh13/geneval at af4902f" in told
    record = json.loads((tmp_path / "out.scores.json").read_text())
    assert [row["value"] for row in record["rows"]] == [0.5, 1, 0]
    assert record["source"]["results.jsonl"].startswith("sha256 ")
    assert record["drawn"]["seed"] == 3


def test_dpg_bench_is_told_the_side_of_a_tile(model, tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "0.txt").write_text("a field")
    options = ("--solver-steps", 1, "--device", "cpu")
    out = tmp_path / "out"
    told = invoke("draw-benchmark", model, "dpg-bench", tmp_path / "prompts", out, *options).output
    assert "--resolution 8 --pic-num 4" in told


def test_mistakes_are_told(model, prompts, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match="'genevil' is no benchmark"):
        invoke("draw-benchmark", model, "genevil", prompts, out)
    with pytest.raises(UserError, match="world: held-out captions are drawn as those of geneval"):
        invoke("draw-benchmark", model, "wise", "world", out)
    with pytest.raises(UserError, match="is no run"):
        invoke("draw-benchmark", model, "geneval", "world", out, "--device", "cpu")
    with pytest.raises(UserError, match=r"no out\.json beside it"):
        invoke("score-benchmark", out)
    invoke("draw-benchmark", model, "geneval", prompts, out, "--solver-steps", 1, "--device", "cpu")
    with pytest.raises(UserError, match="does not tell what its pictures are to show"):
        invoke("score-benchmark", out)
