"""Costs are those of the run, and unequal cells are refused with the remedy."""

import re

import pytest

from chiasm.errors import UserError
from chiasm.studies.cell import Result
from chiasm.studies.plan import refuse_off_budget
from chiasm.studies.planned import plan
from chiasm.studies.runner import run_study
from chiasm.studies.settings import load_study


@pytest.mark.slow
def test_what_is_counted_is_what_is_used(study_path, tmp_path, here):
    study = load_study(study_path())
    planned = plan(study, tmp_path / "out", measure_time=True)
    run_study(planned, here)
    for cell in planned.cells:
        cost, result = planned.costs[cell.key], Result.read(planned.folder_of(cell))
        assert result.tokens == cost.tokens
        assert result.flops == pytest.approx(cost.flops, rel=1e-12)
        assert cost.tokens == cost.text_tokens + cost.vision_tokens
        assert sum(cost.source_tokens.values()) == cost.tokens
        assert cost.seconds > 0
        assert cost.active_parameters < cost.total_parameters
    alone, both = (planned.costs[planned.cells[n].key] for n in (0, 2))
    assert alone.vision_tokens == 0 < both.vision_tokens
    assert both.source_tokens["pictures"] == pytest.approx(both.source_tokens["texts"], rel=0.4)


@pytest.mark.slow
@pytest.mark.parametrize("equal", ["flops", "vision_tokens", "active_parameters", "tokens"])
def test_unequal_cells_are_refused_before_anything_runs(study_path, tmp_path, equal):
    name = 'name = "with pictures"'
    changed = f"{name}\nset = {{ 'training.steps' = 20, 'model.width' = 32 }}"
    path = study_path(**{'equal = "tokens"': f'equal = "{equal}"', name: changed})
    with pytest.raises(UserError, match=f"says equal = '{equal}'") as caught:
        plan(load_study(path), tmp_path / "out", measure_time=False)
    assert "texts alone: " in str(caught.value)
    assert not (tmp_path / "out" / "cells").exists()


@pytest.mark.slow
def test_the_remedy_makes_them_equal(study_path, tmp_path):
    name, equal = 'name = "with pictures"', 'equal = "tokens"'
    source = 'equal = "source"\nequal_source = "texts"'
    with pytest.raises(UserError) as caught:
        plan(load_study(study_path(**{equal: source})), tmp_path / "out", measure_time=False)
    steps = int(re.search(r"with pictures: training.steps = (\d+)", str(caught.value))[1])
    assert 16 <= steps <= 26  # half of its positions are texts
    changed = f"{name}\nset = {{ 'training.steps' = {steps} }}"
    loose = study_path(**{equal: source, name: changed})
    try:
        plan(load_study(loose), tmp_path / "out", measure_time=False)
    except UserError as error:  # so short a run may miss by a document
        again = int(re.search(r"training.steps = (\d+)", str(error))[1])
        assert abs(again - steps) <= 2


def test_another_folder_is_left_alone(study_path, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="holds no study"):
        plan(load_study(study_path()), tmp_path / "thesis", measure_time=False)


def test_a_study_that_could_not_be_planned_is_planned_when_it_is_mended(study_path, tmp_path):
    path, recipe = study_path(), tmp_path / "recipe.toml"
    content = recipe.read_text()
    recipe.write_text(content.replace("sequence_length = 32", "sequence_length = 4"))
    for _ in range(2):
        with pytest.raises(UserError, match="sequence_length"):
            plan(load_study(path), tmp_path / "out", measure_time=False)
    recipe.write_text(content)
    assert plan(load_study(path), tmp_path / "out", measure_time=False).cells


def test_cells_that_miss_their_budget_are_refused_with_the_steps_that_meet_it(study_path, tmp_path):
    names = ('name = "texts alone"', 'name = "with pictures"')
    study = load_study(study_path(**{name: f"{name}\nbudget_flops = 1e8" for name in names}))
    planned = plan(study, tmp_path / "out", measure_time=False)
    with pytest.raises(UserError, match=r"texts alone, seed 0: .* of 1e\+08 FLOPs") as caught:
        refuse_off_budget(study, planned.cells, planned.costs)
    steps = int(re.search(r"training.steps = (\d+) would", str(caught.value))[1])
    cost = planned.costs[planned.cells[0].key]
    assert steps == pytest.approx(cost.steps * 1e8 / cost.flops, abs=0.5)
