"""A fit that was written forecasts like the one in memory."""

import json

import pytest

from chiasm.errors import UserError
from chiasm.scaling.fit import fit_points
from chiasm.scaling.forecast import optimum
from chiasm.scaling.optima import fit_optima, paper_optima
from chiasm.scaling.record import read_fit, write_fit


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["points", "optima"])
def test_a_fit_comes_back(table, tmp_path, kind):
    fit = fit_optima(paper_optima("paper-moe")) if kind == "optima" else None
    fit = fit or fit_points(table(shift=2.5), source="table", resamples=100)
    write_fit(fit, tmp_path / "fit.json")
    back = read_fit(tmp_path / "fit.json")
    assert back.flags == fit.flags
    assert back.source == fit.source
    assert (back.size, back.compute, back.cost) == (fit.size, fit.compute, fit.cost)
    assert back.parameters_cost == fit.parameters_cost
    for name, own in fit.modalities.items():
        again = back.modalities[name]
        assert [p.refusal for p in again.parabolas] == [p.refusal for p in own.parabolas]
        assert (again.refusals, again.left_out) == (own.refusals, own.left_out)
        for method, estimate in own.estimates.items():
            one, two = (optimum(e, 1e20) for e in (estimate, again.estimates[method]))
            assert two.size.value == pytest.approx(one.size.value)
            assert two.tokens.low == pytest.approx(one.tokens.low, rel=1e-2)
            number = again.estimates[method].size_exponent
            assert number.standard_error == pytest.approx(
                estimate.size_exponent.standard_error, rel=1e-2
            )


def test_the_summary_is_plain_json(tmp_path):
    write_fit(fit_optima(paper_optima("paper-dense")), tmp_path / "fit.json")
    content = json.loads((tmp_path / "fit.json").read_text())
    told = content["summary"]["exponents"]["vision"]["optima"]["a"]
    assert told["value"] == pytest.approx(0.368, abs=1e-3)
    assert content["summary"]["gaps"][0]["of"] == "text"


@pytest.mark.parametrize("text", [None, "{", '{"kind": "other"}', "[]"])
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "fit.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match="is no fit"):
        read_fit(path)
