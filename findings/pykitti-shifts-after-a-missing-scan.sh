#!/usr/bin/env bash
# pykitti 0.3.1, `pykitti.raw` of a drive that lacks some laser scans (the public drive
# 2011_09_26_0009 is one: scans 177 to 180 are absent, the pictures are not)
#
# One would guess: get_velo(i) is the scan of frame i, or an error where there is none.
# What happens: scans are numbered by their place in the sorted folder. After the first
#   missing file every scan is paired with an earlier picture and pose. With `frames=` it
#   is worse: a list that reaches past the end of the short folder is ignored for it,
#   and the scans start at frame 0 again while the pictures do not.
# What it means: depth projected into the pictures is of another moment, in silence.
#   Match files by the number in their names.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet pykitti==0.3.1 opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6
cat > check.py <<'EOF'
import importlib.metadata, pathlib
import numpy as np, pykitti
from PIL import Image

day = pathlib.Path("kitti/2011_09_26")
drive = day / "2011_09_26_drive_0009_sync"
for folder in ["oxts", "velodyne_points", *(f"image_0{c}" for c in range(4))]:
    (drive / folder / "data").mkdir(parents=True)
for i in range(6):                                      # everything holds its frame number
    (drive / f"oxts/data/{i:010d}.txt").write_text("49.0 8.4 112 " + "0 " * 22 + "4 7 5 4 6")
    for c in range(4):
        Image.new("L", (4, 4), i).save(drive / f"image_0{c}/data/{i:010d}.png")
    if i not in (2, 3):
        np.full((1, 4), i, np.float32).tofile(drive / f"velodyne_points/data/{i:010d}.bin")
(drive / "oxts/timestamps.txt").write_text("".join(f"2011-09-26 13:02:2{i}.123456789\n" for i in range(6)))
unit = "1 0 0 0 1 0 0 0 1"
for name in ("imu_to_velo", "velo_to_cam"):
    (day / f"calib_{name}.txt").write_text(f"R: {unit}\nT: 0 0 0\n")
(day / "calib_cam_to_cam.txt").write_text(
    "".join(f"P_rect_0{c}: 1 0 0 0 0 1 0 0 0 0 1 0\nR_rect_0{c}: {unit}\n" for c in range(4)))

def pairs(**options):
    data = pykitti.raw("kitti", "2011_09_26", "0009", **options)
    out = []
    for i in range(len(data)):
        try:
            out.append((int(np.asarray(data.get_cam2(i))[0, 0, 0]), int(data.get_velo(i)[0, 0])))
        except IndexError:
            out.append((i, "IndexError"))
    return out

print("pykitti", importlib.metadata.version("pykitti"), "; scans 2 and 3 of frames 0 to 5 are missing")
every, some = pairs(), pairs(frames=[1, 2, 3, 4, 5])
print("  (picture, scan), all frames:          ", every)
print("  (picture, scan), frames=[1,2,3,4,5]:  ", some)
assert every[:4] == [(0, 0), (1, 1), (2, 4), (3, 5)] and every[4][1] == "IndexError"
assert some[:4] == [(1, 0), (2, 1), (3, 4), (4, 5)]
print("as described: scans are paired by their place, not by their number")
EOF
venv/bin/python check.py 2> log || { cat log; exit 1; }
