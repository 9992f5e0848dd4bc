#!/usr/bin/env bash
# pillow 13.0.0, opencv 5.0.0.93, tifffile 2026.3.3 reading grey TIFF with
# PhotometricInterpretation 0 ("min is white": scans, X-rays)
#
# One would guess: a reader inverts such a file, or never does.
# What happens: Pillow, and OpenCV with IMREAD_UNCHANGED, invert at 8 bits and do NOT
#   at 16 bits. OpenCV's default IMREAD_COLOR inverts both. tifffile inverts neither.
# What it means: one folder of scans holds positives and negatives, by bit depth and
#   reader. Look at the tag oneself and invert 16-bit pictures by 65535 - value.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 opencv-python-headless==5.0.0.93 tifffile==2026.3.3 numpy==2.4.6
cat > check.py <<'EOF'
import cv2, numpy as np, PIL, tifffile
from PIL import Image

print("pillow", PIL.__version__, " opencv", cv2.__version__, " tifffile", tifffile.__version__)
inverted = {}
for bits, full in ((8, 255), (16, 65535)):
    stored = np.linspace(0, full, 16).round().astype(f"uint{bits}").reshape(4, 4)  # 0 means white
    tifffile.imwrite("a.tif", stored, photometric="miniswhite")
    for name, seen in {"pillow": np.asarray(Image.open("a.tif")),
                       "opencv unchanged": cv2.imread("a.tif", cv2.IMREAD_UNCHANGED),
                       "opencv colour": cv2.imread("a.tif", cv2.IMREAD_COLOR)[..., 0],
                       "tifffile": tifffile.imread("a.tif")}.items():
        inverted[name, bits] = bool(seen[0, 0] > seen[-1, -1])
        print(f"  {bits:2} bits, {name:17} first pixel, white on paper: {seen[0, 0]}"
              f"  -> {'inverted' if inverted[name, bits] else 'as stored'}")
assert [inverted[n, b] for n in ("pillow", "opencv unchanged", "opencv colour", "tifffile") for b in (8, 16)] \
    == [True, False, True, False, True, True, False, False]
print("as described: inversion depends on the depth and on the reader")
EOF
venv/bin/python check.py
