#!/usr/bin/env bash
# pillow 13.0.0 and opencv 5.0.0.93, one picture with orientation 6 (turn by 90 degrees)
# saved as JPEG, PNG, WebP, AVIF and TIFF
#
# One would guess: Pillow never turns a picture on opening, OpenCV's imread always does.
# What happens: Pillow turns the TIFF by itself (size already swapped at open, tag gone)
#   and leaves the other four. OpenCV turns JPEG, PNG and WebP, leaves AVIF, and for the
#   TIFF logs an internal error and returns None, though the file is valid.
# What it means: "Pillow and turn by the tag" is right for all five only because the tag
#   disappears for TIFF; a tag taken from the file by another tool turns TIFF twice.
#   Pairs of pictures and boxes read by OpenCV fall apart with AVIF.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
cat > check.py <<'EOF'
import cv2, numpy as np, PIL
from PIL import Image, ImageOps

picture = np.zeros((4, 8, 3), np.uint8)
picture[:, :4] = 255                                  # stored 8 wide, to be shown 4 wide
print("pillow", PIL.__version__, " opencv", cv2.__version__)
seen = {}
for ending in ("jpg", "png", "webp", "avif", "tif"):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(picture).save(f"a.{ending}", exif=exif)
    image = Image.open(f"a.{ending}")
    at_open = image.size
    image.load()
    other = cv2.imread(f"a.{ending}")
    seen[ending] = (at_open, image.getexif().get(274), None if other is None else other.shape[1::-1],
                    ImageOps.exif_transpose(image).size)
    print(f"  {ending:5} pillow size {at_open} tag {seen[ending][1]}, after exif_transpose {seen[ending][3]};"
          f" opencv size {seen[ending][2]}")
turned, stored = (4, 8), (8, 4)
assert all(s[3] == turned for s in seen.values())
assert {e: s[:3] for e, s in seen.items()} == {
    "jpg": (stored, 6, turned), "png": (stored, 6, turned), "webp": (stored, 6, turned),
    "avif": (stored, 6, stored), "tif": (turned, None, None)}, seen
print("as described: who turns depends on the format")
EOF
OPENCV_LOG_LEVEL=SILENT venv/bin/python check.py
