#!/usr/bin/env bash
# decord 0.6.0 reading an mp4 trimmed without re-encoding (packets copied, the part
# before the cut hidden by the file's edit list)
#
# One would guess: index i, its pixels and its time stamp belong together; the length is
#   the number of frames.
# What happens: the length and the time stamps count the hidden frames (60; index 0 is
#   at -0.5 s), while the pixels skip them: index 0 shows the frame of 0.0 s. All pixels
#   are half a second ahead of their stamps, and the last 15 indices repeat the last
#   frame. No error. PyAV gives 45 frames from 0.0 s.
# What it means: actions, captions or questions joined by decord's index or time stamp
#   are shifted in trimmed clips, and clips end in a frozen picture.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet decord==0.6.0 av==18.1.0 numpy==2.4.6
cat > check.py <<'EOF'
from fractions import Fraction
import av, decord, numpy as np

def bars(i):                                   # the frame's number as six black or white bars
    picture = np.zeros((64, 64, 3), np.uint8)
    for bit in range(6):
        picture[:, bit * 10:bit * 10 + 10] = 255 * (i >> bit & 1)
    return picture

def number(picture):
    return sum(1 << bit for bit in range(6) if picture[32, bit * 10 + 5, 0] > 128)

with av.open("whole.mp4", "w") as out:
    stream = out.add_stream("libx264", rate=30, options={"g": "30", "bf": "2", "sc_threshold": "0"})
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    for i in range(60):
        out.mux(stream.encode(av.VideoFrame.from_ndarray(bars(i), format="rgb24")))
    out.mux(stream.encode())
with av.open("whole.mp4") as source, av.open("trimmed.mp4", "w") as out:
    stream = source.streams.video[0]
    copy = out.add_stream_from_template(stream)
    half_second = int(Fraction(1, 2) / stream.time_base)
    for packet in source.demux(stream):
        if packet.dts is not None:
            packet.pts -= half_second
            packet.dts -= half_second
            packet.stream = copy
            out.mux(packet)

print("decord", decord.__version__, " av", av.__version__)
seen = {}
for name in ("whole.mp4", "trimmed.mp4"):
    reader = decord.VideoReader(name, ctx=decord.cpu(0), num_threads=1)
    frames = [number(reader[i].asnumpy()) for i in range(len(reader))]
    stamps = reader.get_frame_timestamp(list(range(len(reader))))[:, 0]
    with av.open(name) as source:
        right = [(round(float(f.time), 3), number(f.to_ndarray(format="rgb24"))) for f in source.decode(video=0)]
    print(f"  {name:12} decord: {len(frames)} frames, first {(round(float(stamps[0]), 3), frames[0])},"
          f" last four {frames[-4:]};  av: {len(right)} frames, first {right[0]}, last {right[-1]}")
    seen[name] = frames, stamps, right
frames, stamps, right = seen["whole.mp4"]
assert frames == list(range(60)) and len(right) == 60
frames, stamps, right = seen["trimmed.mp4"]
assert len(right) == 45 and right[0] == (0.0, 15)
assert len(frames) == 60 and frames == list(range(15, 60)) + [59] * 15 and abs(stamps[0] + 0.5) < 1e-3
print("as described: pixels run half a second ahead of the stamps, then freeze")
EOF
venv/bin/python check.py 2> log || { cat log; exit 1; }
