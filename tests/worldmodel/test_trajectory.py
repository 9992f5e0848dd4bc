"""ATE and RPE against their formulas, and against evo's own command line on saved files."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chiasm.poses import Pose
from chiasm.worldmodel.trajectory import trajectory_error, write_tum

pytest.importorskip("evo", reason="evo is not installed: pip install 'chiasm[world]'")


def walk(seed: int, count: int = 6) -> list[Pose]:
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(count, 2)).cumsum(0)
    yaws = rng.uniform(0, 360, count).tolist()
    return [Pose(x, y, yaw) for (x, y), yaw in zip(places.tolist(), yaws, strict=True)]


def test_both_are_root_mean_squares_without_alignment():
    planned, truth = walk(0), walk(1)
    error = trajectory_error(planned, truth)
    p, q = (np.array([(s.x_metres, s.y_metres) for s in one]) for one in (planned, truth))
    assert error.ate_metres == pytest.approx(math.sqrt(((p - q) ** 2).sum(1).mean()))
    steps = np.diff(p, axis=0) - np.diff(q, axis=0)
    assert error.rpe_metres == pytest.approx(math.sqrt((steps**2).sum(1).mean()))
    assert error.end_metres == pytest.approx(math.dist(p[-1], q[-1]))


def test_headings_differ_by_half_a_turn_at_most():
    ends = [[Pose(0, 0, 0), Pose(0, 0, yaw)] for yaw in (350, 20)]
    assert trajectory_error(*ends).end_degrees == pytest.approx(30)
    assert trajectory_error(ends[1], ends[0]).end_degrees == pytest.approx(30)


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "more"), [("ape", []), ("rpe", ["--delta", "1"])])
def test_evos_own_commands_print_the_same(tmp_path: Path, verb: str, more: list[str]):
    planned, truth = walk(2), walk(3)
    write_tum(truth, tmp_path / "truth.tum")
    write_tum(planned, tmp_path / "planned.tum")
    call = f"from evo.cli.entry_points import {verb}; {verb}()"
    command = [sys.executable, "-c", call, "tum", "truth.tum", "planned.tum", *more]
    environment = os.environ | {"HOME": str(tmp_path)}  # evo keeps its settings there
    printed = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert "(not aligned)" in printed
    [rmse] = [float(line.split()[1]) for line in printed.splitlines() if "rmse" in line]
    error = trajectory_error(planned, truth)
    assert rmse == pytest.approx(error.ate_metres if verb == "ape" else error.rpe_metres, abs=1e-6)


def test_what_is_no_pair_of_trajectories_is_refused():
    with pytest.raises(ValueError, match="6 planned and 5 true poses"):
        trajectory_error(walk(0), walk(1, 5))
    with pytest.raises(ValueError, match="two or more"):
        trajectory_error(walk(0, 1), walk(1, 1))
    with pytest.raises(ValueError, match="not finite"):
        trajectory_error([*walk(0)[:5], Pose(math.nan, 0, 0)], walk(1))
