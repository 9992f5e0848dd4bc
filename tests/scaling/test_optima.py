"""The refit of the paper's plotted optima, and tables of optima that cannot be fitted."""

import pytest

from chiasm.errors import UserError
from chiasm.scaling.optima import PAPER, fit_optima, paper_optima, read_optima


@pytest.mark.parametrize(
    ("name", "modality", "a", "b"),
    [
        ("paper-dense", "text", 0.47, 0.53),
        ("paper-dense", "vision", 0.37, 0.63),
        ("paper-moe", "text", 0.41, 0.59),
        ("paper-moe", "vision", 0.36, 0.64),
    ],
)
def test_the_refit_gives_the_printed_exponents(name, modality, a, b):
    estimate = fit_optima(paper_optima(name)).modalities[modality].estimates["optima"]
    assert estimate.size_exponent.value == pytest.approx(a, abs=0.01)
    assert estimate.token_exponent.value == pytest.approx(b, abs=0.01)


@pytest.mark.parametrize(
    ("name", "gap", "error"), [("paper-dense", 0.096, 0.042), ("paper-moe", 0.049, 0.053)]
)
def test_the_gap_between_modalities_has_an_interval(name, gap, error):
    (number,) = fit_optima(paper_optima(name)).gaps().values()
    assert number.value == pytest.approx(gap, abs=0.0005)
    assert number.standard_error == pytest.approx(error, abs=0.0005)
    # Three degrees of freedom: the interval is wider than two standard errors.
    assert number.low < gap - 2 * error
    assert number.high > gap + 2 * error


def test_the_file_says_where_its_numbers_come_from():
    text = PAPER.read_text()
    assert "arXiv 2603.03276" in text
    assert all(
        line.split(",")[5] for line in text.splitlines() if line.startswith(("dense", "moe"))
    )
    for name in ("paper-dense", "paper-moe"):
        for budgets, sizes, tokens in paper_optima(name).values():
            assert 6 * sizes * tokens == pytest.approx(budgets, rel=0.02)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modality,budget_flops,optimal_parameters\ntext,1,2\n", "no column|column optimal_tokens"),
        (
            "modality,budget_flops,optimal_parameters,optimal_tokens\ntext,1e18,1e8,1e9\n",
            "three or more optima",
        ),
        (
            "modality,budget_flops,optimal_parameters,optimal_tokens\ntext,1e18,big,1e9\n",
            "optima are numbers",
        ),
    ],
)
def test_other_tables_are_refused(tmp_path, text, message):
    path = tmp_path / "optima.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_optima(path)


def test_optima_of_two_models_are_not_mixed():
    with pytest.raises(UserError, match="several models"):
        read_optima(PAPER)
