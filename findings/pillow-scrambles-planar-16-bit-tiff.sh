#!/usr/bin/env bash
# pillow 13.0.0 reading a 16-bit RGB TIFF stored plane by plane (tifffile 2026.3.3 writes
# one from any array of shape (3, height, width))
#
# One would guess: as for the pixel-interleaved file, the upper 8 bits of each value; or
#   an error.
# What happens: without compression the two bytes of a value are taken for two pixels:
#   low and high bytes alternate along a row and half of each plane is lost. The mode
#   (RGB) and the size are right and nothing is said. The same array compressed, or
#   stored interleaved, comes out right.
# What it means: channel-first arrays of a microscope, satellite or renderer train as
#   noise. Read 16-bit colour TIFF with tifffile, or refuse planar 16-bit in Pillow.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
cat > check.py <<'EOF'
import numpy as np, PIL, tifffile
from PIL import Image

y, x = np.mgrid[0:4, 0:6]
chw = np.stack([(x * 9000) + 77, (y * 15000) + 77, np.full_like(x, 30077)]).astype(np.uint16)
right = np.moveaxis(chw >> 8, 0, -1)
print("pillow", PIL.__version__, " tifffile", tifffile.__version__)
equal = {}
for name, options in {"planes, no compression": {}, "planes, deflate": {"compression": "zlib"},
                      "interleaved": {"planarconfig": "contig"}}.items():
    data = np.moveaxis(chw, 0, -1) if name == "interleaved" else chw
    tifffile.imwrite("a.tif", data, photometric="rgb", **options)
    image = Image.open("a.tif")
    got = np.asarray(image)
    equal[name] = bool((got == right).all())
    assert image.mode == "RGB" and image.size == (6, 4)
    assert (tifffile.imread("a.tif") == data).all()
    print(f"  {name:23} right: {equal[name]!s:5}  red of the first row: {got[0, :, 0].tolist()}")
print(f"  {'wanted':23}              red of the first row: {right[0, :, 0].tolist()}")
assert equal == {"planes, no compression": False, "planes, deflate": True, "interleaved": True}, equal
print("as described: uncompressed planes are scrambled")
EOF
venv/bin/python check.py
