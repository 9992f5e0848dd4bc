import json

import numpy as np
import pytest
from PIL import Image

from chiasm.errors import UserError
from chiasm.evaluation.planning import PlannedScene
from chiasm.evaluation.plans import plan_rows
from chiasm.evaluation.scenes import Scene
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.poses import Pose
from chiasm.report.plans import sheet, write_plans, write_strip
from chiasm.worldmodel.planner import Plan
from chiasm.worldmodel.rollout import Context
from chiasm.worldmodel.trajectory import trajectory_error

pytest.importorskip("evo", reason="evo is not installed: pip install 'chiasm[world]'")

ACTION = "action: dx=+1.00 dy=+0.00 dyaw=+0"


def grey(level: int, side: int = 16) -> np.ndarray:
    return np.full((side, side, 3), level, np.uint8)


@pytest.fixture
def planned() -> list[PlannedScene]:
    """Two scenes on two maps; the model is 0.5 m off, the baselines more."""
    scenes = []
    for place in (7, 9):
        start, truth = Pose(1, 2, 0), (Pose(2, 2, 0), Pose(3, 2, 0))
        scene = Scene(place, Context((grey(10),)), grey(20), start, truth, place, place == 7)
        off = {"model": 0.5, "no motion": 2.0, "straight line": 1.0}
        ways = {
            name: tuple(Pose(p.x_metres, p.y_metres + away, 0) for p in truth)
            for name, away in off.items()
        }
        plan = Plan((ACTION, ACTION), np.stack([grey(30), grey(40)]), 0.3, (0.4, 0.3))
        errors = {name: trajectory_error(way, truth) for name, way in ways.items()}
        scenes.append(PlannedScene(scene, dict.fromkeys(ways, plan), ways, errors))
    return scenes


def test_everything_is_written_and_can_be_read_back(planned, tmp_path):
    rows = plan_rows(planned, 0)
    settings = EvaluationSettings(plans=2)
    write_plans(tmp_path / "plans", planned, rows, settings, "chiasm plan", [{"model": grey(50)}])
    record = json.loads((tmp_path / "plans" / "plans.json").read_text())
    assert [scene["place"] for scene in record["scenes"]] == [7, 9]
    own = record["scenes"][0]["plans"]["model"]
    assert own["actions"] == [ACTION, ACTION]
    assert own["ate_metres"] == pytest.approx(0.5)
    first = record["rows"][0]
    assert (first["name"], first["baseline_name"]) == ("ATE of plans", "no motion")
    assert (first["value"], first["difference"]) == pytest.approx((0.5, -1.5))
    in_sight = [row for row in record["rows"] if row["name"] == "ATE of plans, goal in sight"]
    assert [row["num_items"] for row in in_sight] == [1, 1]
    names = {file.name for file in (tmp_path / "plans/trajectories/scene-001").iterdir()}
    assert names == {"truth.tum", "model.tum", "no-motion.tum", "straight-line.tum"}
    lines = (tmp_path / "plans/trajectories/scene-001/model.tum").read_text().splitlines()
    assert lines == ["0 2 2.5 0 0 0 0 1", "1 3 2.5 0 0 0 0 1"]
    assert [path.name for path in (tmp_path / "plans").glob("*.png")] == ["scene-000.png"]


def test_nothing_of_an_earlier_call_is_left(planned, tmp_path):
    earlier = tmp_path / "trajectories" / "scene-900"
    earlier.mkdir(parents=True)
    (tmp_path / "scene-900.png").touch()
    (tmp_path / "mine.txt").touch()
    write_plans(tmp_path, planned, [], EvaluationSettings(), "chiasm plan", [])
    assert not earlier.exists()
    assert not (tmp_path / "scene-900.png").exists()
    assert (tmp_path / "mine.txt").exists()


def test_a_sheet_has_a_column_for_each_planner(planned):
    page = sheet(planned[0], {"model": grey(50)})
    pixels = np.asarray(page)
    for level in (10, 20, 40, 50):  # start, goal, imagined end, true end
        assert (pixels == level).all(2).sum() > 10_000
    assert page.width > 4 * 192


def test_a_strip_and_a_folder_that_cannot_be(planned, tmp_path):
    plan = planned[0].plans["model"]
    path = write_strip(tmp_path / "plans", grey(10), grey(20, 40), plan)
    with Image.open(path) as page:
        pixels = np.asarray(page)
    for level in (10, 20, 30, 40):
        assert (pixels == level).all(2).sum() > 10_000
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_strip(tmp_path / "file", grey(10), grey(20), plan)
