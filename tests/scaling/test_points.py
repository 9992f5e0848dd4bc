"""Tables come back as they were written, and unreadable ones are named."""

import pytest

from chiasm.errors import UserError
from chiasm.scaling.points import Point, budgets_of, read_points, write_points


def test_a_table_comes_back(table, tmp_path):
    points = [*table(), Point("x", 1.0, 2.0, 3.0, {"text": 1.0, "vision": 2.0}, seed=4)]
    write_points(points, tmp_path / "points.csv")
    assert read_points(tmp_path / "points.csv") == points


def test_published_points_need_four_columns_under_any_name(tmp_path):
    path = tmp_path / "published.csv"
    path.write_text("# from somewhere\nModel Size,D,FLOP,loss\n1e8,2e9,1.2e18,3.5\n2e8,1e9,,3.6\n")
    names = {"active_parameters": "Model Size", "tokens": "D", "flops": "FLOP", "loss_text": "loss"}
    with pytest.raises(UserError, match="row 2: active_parameters, tokens or flops is empty"):
        read_points(path, names)
    path.write_text("Model Size,D,FLOP,loss\n1e8,2e9,1.2e18,3.5\n")
    (point,) = read_points(path, names)
    assert point == Point("row 1", 1.2e18, 1e8, 2e9, {"text": 3.5})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no rows"),
        ("active_parameters,tokens,loss_text\n1,2,3\n", "no column flops"),
        ("flops,tokens,loss_text\n1,2,3\n", "no column active_parameters"),
        ("flops,active_parameters,tokens\n1,2,3\n", "no column loss_<modality>"),
        ("flops,active_parameters,tokens,loss_text\n1,big,3,4\n", "'big' is not a number"),
        ("flops,active_parameters,tokens,loss_text\n1,-2,3,4\n", "must be above 0"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, text, message):
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_points(path)


def test_a_column_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("N,D,C,L\n1,2,3,4\n")
    with pytest.raises(UserError, match="no column 'params'; it has N, D, C, L"):
        read_points(path, {"active_parameters": "params"})


def test_budgets_are_found_where_the_table_does_not_name_them():
    flops = [1.0e18, 1.02e18, 0.99e18, 3.0e18, 3.05e18]
    points = [Point(str(n), c, 1e8 + n, 1e9, {"text": 3.0}) for n, c in enumerate(flops)]
    budgets = budgets_of(points)
    assert len(set(budgets)) == 2
    assert budgets[0] == budgets[1] == budgets[2] == pytest.approx(1.003e18, rel=1e-3)
