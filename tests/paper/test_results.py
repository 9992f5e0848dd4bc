"""What is kept, and what is refused."""

import json

import pytest

from chiasm.errors import UserError
from chiasm.paper import keep, read_results
from chiasm.scaling.optima import fit_optima, paper_optima
from chiasm.scaling.record import write_fit

STUDY = "text-and-other-data"
METRIC = "text in its domain"


def test_a_study_is_kept_with_its_machine_and_commit(kept_study):
    folder = kept_study(STUDY, {("text", METRIC): [0.1, 0.2, 0.3]})
    result = read_results(folder.parent)[STUDY]
    assert result.values("text", METRIC) == {0: 0.1, 1: 0.2, 2: 0.3}
    assert not result.values("text + video", METRIC), "it is not finished"
    assert result.made_with("machine") == ["a laptop"]
    assert result.made_with("git_commit") == ["abc123"]


def test_a_fit_is_kept_without_its_resamples(tmp_path):
    folder = tmp_path / "isoflop-dense"
    folder.mkdir()
    write_fit(fit_optima(paper_optima("paper-dense")), folder / "fit.json")
    (folder / "fit.md").write_text("# Laws")
    kept = keep(folder, tmp_path / "results")
    assert (kept / "fit.md").read_text() == "# Laws"
    assert kept.name == "isoflop-dense"
    size = (kept / "laws.json").stat().st_size
    assert size < (folder / "fit.json").stat().st_size / 10
    laws = read_results(tmp_path / "results")["isoflop-dense"].laws
    assert {law.quantity for law in laws} == {"size_exponent", "token_exponent", "gap", "growth"}


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(UserError, match="has neither"):
        keep(tmp_path, tmp_path / "results")
    broken = tmp_path / "results" / "broken"
    broken.mkdir(parents=True)
    (broken / "cells.json").write_text(json.dumps({"cells": [{"state": "finished"}]}))
    with pytest.raises(UserError, match="is no kept result"):
        read_results(tmp_path / "results")
    (broken / "cells.json").write_text("{")
    with pytest.raises(UserError, match=r"cells\.json cannot be read"):
        read_results(tmp_path / "results")
    assert read_results(tmp_path / "nowhere") == {}
