"""chiasm report, as it is typed."""

import pytest
from typer.testing import CliRunner

from chiasm.cli import app
from chiasm.scaling.optima import fit_optima, paper_optima
from chiasm.scaling.record import write_fit


def said(*words):
    result = CliRunner().invoke(app, ["report", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_from_a_fit_to_the_page(tmp_path):
    results = tmp_path / "results"
    nothing = said("paper", "--results", results, "--out", tmp_path / "out")
    assert "no results are kept" in nothing
    assert "0 of" in nothing
    fit = tmp_path / "isoflop-dense"
    fit.mkdir()
    write_fit(fit_optima(paper_optima("paper-dense")), fit / "fit.json")
    assert "kept in" in said("keep", fit, "--results", results)
    measured = said("paper", "--results", results, "--out", tmp_path / "out")
    assert "3 of" in measured, "exponents, their gap, and growth"
    assert "growth" in (tmp_path / "out" / "paper.json").read_text()
