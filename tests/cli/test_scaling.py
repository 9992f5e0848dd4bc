"""chiasm scaling, as it is typed."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from chiasm.cli.scaling import app
from chiasm.errors import UserError

pytestmark = pytest.mark.slow


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_from_the_papers_optima_to_a_forecast(tmp_path):
    assert invoke("fit", "paper-dense", "--out", tmp_path / "fit").exit_code == 0
    out = tmp_path / "forecast.json"
    result = invoke("forecast", tmp_path / "fit" / "fit.json", "--budget", "1e24", "--out", out)
    assert result.exit_code == 0, result.output
    told = json.loads(out.read_text())
    assert [entry["modality"] for entry in told["optima"]] == ["text", "vision"]
    assert told["growth"][1]["active_parameters"] == 1e12
    assert told["growth"][1]["growth"]["value"] == pytest.approx(50, abs=2)


def test_a_published_table_with_its_own_column_names(tmp_path):
    lines = ["N,D,FLOPs,loss"]
    for budget in (1e18, 4e18, 1.6e19):
        for size in (1e7, 3e7, 1e8, 3e8, 1e9):
            size *= (budget / 1e18) ** 0.5
            tokens = budget / 6 / size
            lines.append(f"{size},{tokens},{budget},{1.7 + 400 * size**-0.34 + 410 * tokens**-0.3}")
    table = tmp_path / "published.csv"
    table.write_text("\n".join(lines) + "\n")
    names = ["active_parameters=N", "tokens=D", "flops=FLOPs", "loss_text=loss"]
    columns = [part for name in names for part in ("--column", name)]
    result = invoke("fit", table, "--out", tmp_path / "fit", "--resamples", "100", *columns)
    assert result.exit_code == 0, result.output
    summary = json.loads((tmp_path / "fit" / "fit.json").read_text())["summary"]
    a = summary["exponents"]["text"]["projection"]["a"]["value"]
    assert a == pytest.approx(0.3 / 0.64, abs=1e-3)
    text = (tmp_path / "fit" / "fit.md").read_text()
    assert f"| text | approach 3: variable projection | {a:.3f} ±" in text
    assert "(isoflop.svg)" in text
    assert (tmp_path / "fit" / "isoflop.svg").exists()


def figure_table(path):
    """A table as it is read off a published figure: no tokens, no names, one wild row."""
    lines = ["x,y,color,Model Size,Training FLOP,hex_color,loss"]
    random = np.random.default_rng(0)
    for size, flops in np.exp(random.uniform(np.log([5e7, 1e18]), np.log([1e10, 1e22]), (60, 2))):
        tokens = flops / 6 / size
        loss = 1.82 + 482 * size**-0.35 + 2085 * tokens**-0.37
        loss *= np.exp(0.003 * random.standard_normal())
        lines.append(f'1.5,2.5,"(0.1, 0.2)",{size},{flops},#440154,{loss}')
    lines.append('1.5,2.5,"(0.1, 0.2)",7e9,1e19,#440154,9.5')
    path.write_text("\n".join(lines) + "\n")
    return path


FIGURE_COLUMNS = [
    *("--column", "active_parameters=Model Size", "--column", "flops=Training FLOP"),
    *("--column", "loss_text=loss", "--resamples", "100"),
]


@pytest.fixture(scope="module")
def figure(tmp_path_factory):
    """The table's path, its fit's, and what the fit said."""
    folder = tmp_path_factory.mktemp("figure")
    table = figure_table(folder / "figure.csv")
    result = invoke("fit", table, "--out", folder / "all", *FIGURE_COLUMNS)
    assert result.exit_code == 0, result.output
    return table, folder / "all" / "fit.json", result.output


def test_points_of_a_figure_are_fitted_with_and_without_their_outlier(figure, tmp_path):
    table, fit, output = figure
    assert "the table has no column tokens: D = C / (6·N) stands for it" in output
    assert "there are no budgets" in output
    told = json.loads(fit.read_text())["summary"]["outliers"]["text"]
    assert told["cells"] == ["row 61"]
    drop = ["--leave-out", "row 61", *FIGURE_COLUMNS]
    result = invoke("fit", table, "--out", tmp_path / "less", *drop)
    assert result.exit_code == 0, result.output
    less = json.loads((tmp_path / "less" / "fit.json").read_text())
    assert less["summary"]["outliers"] == {}
    a = less["summary"]["exponents"]["text"]["huber"]["a"]["value"]
    assert a == pytest.approx(0.37 / 0.72, abs=0.02)
    assert told["without them"]["huber"]["a"] == pytest.approx(a, abs=1e-3)
    assert {"kind": "note", "text": "left out: row 61"}.items() <= less["flags"][-1].items()


def test_a_forecast_says_how_far_it_lies_and_what_is_doubtful(figure):
    _, fit, _ = figure
    result = invoke("forecast", fit, "--budget", "1e24", "--method", "huber")
    assert result.exit_code == 0, result.output
    assert "budget 1e+24 lies a factor of 1" in result.output
    assert "beyond 6 robust deviations" in result.output
    assert "no column tokens" in result.output


def test_every_table_has_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        figure_table(tmp_path / name / "points.csv")
        assert invoke("fit", f"{name}/points.csv", *FIGURE_COLUMNS).exit_code == 0
        content = json.loads((tmp_path / "runs" / "scaling" / name / "fit.json").read_text())
        assert content["source"] == f"{name}/points.csv"
    again = invoke("fit", "two/points.csv", "--out", "runs/scaling/one", *FIGURE_COLUMNS)
    assert "holds the fit of one/points.csv; give two/points.csv another" in str(again.exception)


def test_a_forecast_of_one_modality_tells_how_to_train_a_size(figure, tmp_path):
    _, fit, output = figure
    assert "loss = E + A/N^α + B/D^β" in output
    out = tmp_path / "forecast.json"
    assert invoke("forecast", fit, "--size", "1e9", "--out", out).exit_code == 0
    (own,) = json.loads(out.read_text())["optimal_budgets"]
    budget = own["budget_flops"]["value"]
    assert budget == pytest.approx(6e9 * own["tokens"]["value"], rel=1e-3)
    assert invoke("forecast", fit, "--budget", str(budget), "--out", out).exit_code == 0
    (at,) = json.loads(out.read_text())["optima"]
    assert at["size"]["value"] == pytest.approx(1e9, rel=1e-3)


def test_growth_is_told_since_a_size_that_was_measured(tmp_path):
    lines = ["active_parameters,flops,loss_text,loss_vision"]
    random = np.random.default_rng(0)
    for size, flops in np.exp(random.uniform(np.log([3e3, 1e10]), np.log([3e5, 1e13]), (40, 2))):
        tokens = flops / 6 / size
        text = 0.3 + 9 * size**-0.35 + 20 * tokens**-0.37
        vision = 0.4 + 9 * size**-0.4 + 20 * tokens**-0.3
        lines.append(f"{size},{flops},{text},{vision}")
    (tmp_path / "points.csv").write_text("\n".join(lines) + "\n")
    fit, out = tmp_path / "fit" / "fit.json", tmp_path / "forecast.json"
    arguments = ["--out", tmp_path / "fit", "--resamples", "100"]
    assert invoke("fit", tmp_path / "points.csv", *arguments).exit_code == 0
    result = invoke("forecast", fit, "--out", out)
    told = json.loads(out.read_text())
    since = told["growth_since"]
    assert 1e5 < since < 1e6
    assert [row["active_parameters"] for row in told["growth"]] == [100 * since, 1000 * since]
    warned, shown = result.output.index("warning: sizes of"), result.output.index("growth since")
    assert warned < shown


def test_typed_exponents_need_no_file(tmp_path):
    out = tmp_path / "forecast.json"
    exponents = ["--exponents", "text=0.47/0.53", "--exponents", "vision=0.37/0.63"]
    assert invoke("forecast", *exponents, "--out", out).exit_code == 0
    told = json.loads(out.read_text())
    assert [round(row["growth"]["value"]) for row in told["growth"]] == [14, 53]
    assert told["growth"][1]["growth"]["low"] < 51 < told["growth"][1]["growth"]["high"]
    assert told["growth"][0]["ratio"]["value"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["forecast", "--exponents", "text=0.47/0.53"], "with text alone there is no growth"),
        (["forecast"], "give either a fit.json or --exponents"),
        (["fit", "nowhere.csv"], "cannot be read"),
        (["fit", "nowhere.csv", "--column", "N"], "--column N: write NAME=COLUMN"),
        (["plan", "--budgets", "many"], "--budgets many: write numbers"),
        (["plan", "--budgets", "1e9,-1,3"], "must be above 0"),
        (["plan", "--budgets", "1e9", "--out", "a study.toml"], "the study is named after"),
        (["plan", "--budgets", "1e9", "--out", "nowhere/x.toml"], "there is no folder nowhere"),
        (["fit", "paper-dense", "--out", __file__], "is a file; give a folder"),
        (["fit", "paper-dense", "--size", "compute"], "are for tables of runs"),
        (
            ["forecast", "--exponents", "text=0.47/0.53", "--out", "nowhere/x.json"],
            "there is no folder nowhere",
        ),
        (["plan", "--budgets", "1e9", "--centre", "5"], "write FLOPS:PARAMETERS"),
    ],
)
def test_mistakes_are_named(arguments, message):
    result = invoke(*arguments)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
