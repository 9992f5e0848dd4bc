"""Tables that no single law can hold for are refused, cell by cell."""

from dataclasses import replace

import pytest

from chiasm.errors import UserError
from chiasm.scaling.checks import check_points


def spoiled(points, number=3, **changes):
    return [*points[:number], replace(points[number], **changes), *points[number + 1 :]]


def test_a_good_table_passes(table):
    check_points(table())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda p: spoiled(p, losses={"text": float("nan"), "vision": 1.0}),
            "loss_text is not a number or empty",
        ),
        (lambda p: [*p, p[5]], "is in the table twice"),
        (lambda p: [*p, replace(p[5], cell="renamed")], "renamed, seed 1 is in the table twice"),
        (lambda p: p[:7] + p[8:], "has no seed 1; train it"),
        (lambda p: spoiled(p, validation="other"), "mixes held-out sets: .*other"),
        (lambda p: spoiled(p, tokenizer="other"), "mixes tokenizers"),
        (lambda p: spoiled(p, flops=1.05e17), "is not its budget_flops"),
        (
            lambda p: spoiled(p, losses={"text": float("nan"), "vision": 1.0}, state="failed"),
            r"loss_text is not a number or empty \(the cell is failed\)",
        ),
        (lambda p: spoiled(p, tokens=1.5 * p[3].tokens), "is 0.667 times what"),
        (
            lambda p: [replace(x, flops_per_token=6.2 * x.active_parameters) for x in p],
            "is not flops_per_token",
        ),
    ],
)
def test_a_spoiled_table_is_refused_by_name(table, spoil, message):
    with pytest.raises(UserError, match=message) as caught:
        check_points(spoil(table()))
    assert "cell" in str(caught.value) or "mixes" in str(caught.value)


def test_a_wrong_count_of_a_whole_cell_is_found(table):
    points = [
        replace(p, flops=1.4 * p.flops, budget_flops=None) if p.cell == "3e+17-1" else p
        for p in table()
    ]
    with pytest.raises(UserError, match=r"1.4 times what .* count them again"):
        check_points(points)


def test_shapes_that_were_counted_may_cost_what_they_cost(table):
    """Whole blocks make steps in FLOPs per token; counted shapes tell them from mistakes."""
    stepped = [
        replace(p, tokens=p.tokens * (1.5 if p.cell.endswith("-1") else 1.0)) for p in table()
    ]
    with pytest.raises(UserError, match=r"0.667 times what"):
        check_points(stepped)
    check_points([replace(p, flops_per_token=1.01 * p.flops / p.tokens) for p in stepped])


def test_all_problems_come_at_once(table):
    points = spoiled(spoiled(table(), validation="b"), 8, losses={"text": 0.0, "vision": 1.0})
    with pytest.raises(UserError, match="loss_text is 0") as caught:
        check_points(points)
    assert "held-out sets" in str(caught.value)


def test_repetitions_without_seeds_are_told_in_one_line(table):
    points = [replace(point, seed=0, cell=f"row {n}") for n, point in enumerate(table())]
    with pytest.raises(UserError, match="give the table a column seed") as caught:
        check_points(points)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("20 of 40 rows repeat")
    assert lines[-1] == "and 16 more of the same kind"
    assert len(lines) == 6
