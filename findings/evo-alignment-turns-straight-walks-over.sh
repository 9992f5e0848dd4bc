#!/usr/bin/env bash
# evo 1.38.1, alignment (`PoseTrajectory3D.align`, evo_ape -a) of a nearly straight path
#
# One would guess: two drives along one straight line, equal headings, a centimetre of
#   independent jitter, have an absolute rotation error near 0 after alignment.
# What happens: only an EXACTLY straight path is refused (GeometryException, degenerate).
#   With jitter the turn about the line is fitted to the jitter: about half of the cases
#   are rolled by 180 degrees. The translation error stays at the jitter and shows
#   nothing; the rotation error is 0 or 180 by chance. No warning.
# What it means: absolute rotation errors of corridor or motorway drives are a coin toss.
#   Align such paths by their first pose (align_origin), or report relative errors.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet evo==1.38.1 numpy==2.4.6
cat > check.py <<'EOF'
import importlib.metadata
import numpy as np
from evo.core import geometry, metrics
from evo.core.trajectory import PoseTrajectory3D

def walk(rng, jitter, n=40):
    place = np.zeros((n, 3))
    place[:, 0] = np.linspace(0, 10, n)
    place[:, 1] = jitter * rng.standard_normal(n)                      # planar, like a robot's
    return PoseTrajectory3D(place, np.tile([1.0, 0, 0, 0], (n, 1)), np.arange(n) / 10)

def errors(truth, other):
    out = []
    for relation in (metrics.PoseRelation.translation_part, metrics.PoseRelation.rotation_angle_deg):
        ape = metrics.APE(relation)
        ape.process_data((truth, other))
        out.append(ape.get_statistic(metrics.StatisticsType.rmse))
    return out

found, by_origin = [], []
for seed in range(100):
    rng = np.random.default_rng(seed)
    truth, other = walk(rng, 0.01), walk(rng, 0.01)
    third = PoseTrajectory3D(other.positions_xyz.copy(), other.orientations_quat_wxyz.copy(), other.timestamps)
    other.align(truth)
    third.align_origin(truth)
    found.append(errors(truth, other))
    by_origin.append(errors(truth, third))
move, turn = np.array(found).T
print("evo", importlib.metadata.version("evo"))
print(f"  100 pairs of straight 10 m walks, 1 cm jitter, headings equal")
print(f"  aligned: largest translation error {move.max():.3f} m;"
      f" rotation error over 170 degrees in {(turn > 170).sum()}, below 1 degree in {(turn < 1).sum()}")
print(f"  aligned by the first pose: largest rotation error {np.array(by_origin)[:, 1].max():.2f} degrees")
assert move.max() < 0.03 and (turn > 170).sum() >= 25 and (turn < 1).sum() >= 25
assert np.array(by_origin)[:, 1].max() < 1
try:
    walk(np.random.default_rng(0), 0).align(walk(np.random.default_rng(1), 0))
    raise SystemExit("an exactly straight path was aligned")
except geometry.GeometryException as error:
    print("  exactly straight:", error)
print("as described: about half of the walks are aligned upside down")
EOF
venv/bin/python check.py
