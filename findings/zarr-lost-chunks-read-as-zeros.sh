#!/usr/bin/env bash
# zarr 3.1.6 (robot episodes, cached latents), a chunk file that is not there
#
# One would guess: reading a part whose chunk file was lost in a copy raises.
# What happens: an absent chunk IS the format's way to write "all fill value", so it reads
#   as zeros; there is no count or checksum that could tell. A chunk of true zeros is
#   not written either (write_empty_chunks is off), so a lost one and a zero one are
#   the same on disk. Only lost metadata raises.
# What it means: a half-copied store trains as "the robot stands still" or as black
#   frames. Compare nchunks_initialized with the number noted when the store was written,
#   or use a fill value that cannot occur (NaN).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet zarr==3.1.6 numpy==2.4.6
cat > check.py <<'EOF'
import pathlib
import numpy as np, zarr

print("zarr", zarr.__version__)
seen = {}
for fill in (0, float("nan")):
    store = zarr.create_array("actions.zarr", shape=(8,), chunks=(2,), dtype="f4", fill_value=fill, overwrite=True)
    store[:] = np.arange(1, 9)
    chunks = sorted(p for p in pathlib.Path("actions.zarr/c").rglob("*") if p.is_file())
    chunks[1].unlink()
    again = zarr.open_array("actions.zarr", mode="r")
    seen[str(fill)] = again[:].tolist()
    print(f"  fill value {fill}: {len(chunks)} chunks written, one deleted, read {seen[str(fill)]},"
          f" nchunks_initialized {again.nchunks_initialized} of {again.nchunks}")
    assert again.nchunks_initialized == 3
assert seen["0"] == [1, 2, 0, 0, 5, 6, 7, 8] and np.isnan(seen["nan"][2:4]).all()
store = zarr.create_array("still.zarr", shape=(8,), chunks=(2,), dtype="f4", overwrite=True)
store[:] = [1, 2, 0, 0, 5, 6, 7, 8]
print(f"  true zeros: nchunks_initialized {store.nchunks_initialized} of {store.nchunks}")
assert store.nchunks_initialized == 3
print("as described: a lost chunk is zeros, and looks like them on disk")
EOF
venv/bin/python check.py
