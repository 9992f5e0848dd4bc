#!/usr/bin/env bash
# av 18.1.0 (PyAV), asking decoded video frames for their side data
#
# One would guess: looking at `frame.side_data` costs nothing, and a frame that the loop
#   has left is freed at once, as it is after any other attribute.
# What happens: frame and container of side data hold each other, even where there is no
#   side data at all. Frames then go only when Python's collector looks for such
#   circles. It counts objects, not bytes: over 200 whole pictures wait at its default
#   thresholds, and all of them with the collector off.
# What it means: a loop that looks for a display matrix or HDR data holds hundreds of
#   frames (200 are 620 MB at 1080p, 2.5 GB at 4K in 8 bits); a trainer that turns the
#   collector off holds the whole video. `frame.rotation` is free of it; else ask one
#   frame, or a tiny copy of it.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet av==18.1.0 numpy==2.4.6
cat > check.py <<'EOF'
import gc
import av, numpy as np

def most_alive(attribute, collector):
    """The most frames that were alive at a time while a loop asked each of 400 for an attribute."""
    gc.collect()
    gc.set_threshold(700, 10, 10)              # Python's own default up to 3.12; later ones are larger
    (gc.enable if collector else gc.disable)()
    most = 0
    with av.open("a.mp4") as source:
        for frame in source.decode(video=0):
            held = getattr(frame, attribute)
            assert attribute != "side_data" or len(held) == 0
            del held
            most = max(most, sum(type(o) is av.VideoFrame for o in gc.get_objects()))
    return most

with av.open("a.mp4", "w") as out:
    stream = out.add_stream("mpeg4", rate=30)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    for i in range(400):
        picture = np.full((64, 64, 3), i % 256, np.uint8)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    out.mux(stream.encode())
print("av", av.__version__)
seen = {}
for attribute in ("pts", "planes", "rotation", "side_data"):
    seen[attribute] = most_alive(attribute, True), most_alive(attribute, False)
    print(f"  {attribute:10} frames alive at most: {seen[attribute][0]:3};"
          f" with the collector off: {seen[attribute][1]:3}  (of 400)")
assert all(most <= 5 for name in ("pts", "planes", "rotation") for most in seen[name])
assert seen["side_data"][0] > 200 and seen["side_data"][1] >= 400
print("as described: a frame asked for its side data waits for the collector")
EOF
venv/bin/python check.py
