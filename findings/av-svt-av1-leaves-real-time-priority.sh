#!/usr/bin/env bash
# av 18.1.0 (PyAV, with SVT-AV1 4.1.0), encoding AV1 as root, on Linux
#
# One would guess: an encoder works in threads of its own, and the thread that calls it is
#   afterwards what it was before.
# What happens: opening libsvtav1 as root, as in most containers, gives the calling thread the
#   real-time policy SCHED_FIFO at its highest priority, 99, and closing it does not take it
#   back. Every thread and process that this thread starts later inherits it. The only hint is
#   a line of the encoder's log. libx264 and libvpx-vp9 change nothing.
# What it means: LeRobot and others write videos by libsvtav1. A script that encodes a film and
#   then trains, or opens a browser, or starts workers, does so before everything else on the
#   machine: busy waiting of one keeps all cores from the others. Encode in a thread or a
#   process that ends, or give the policy back with os.sched_setscheduler.
set -euo pipefail
if [ "$(uname)" != Linux ] || [ "$(id -u)" != 0 ]; then
  echo "needs Linux and root: for others the encoder may not change the policy"
  exit 77
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet av==18.1.0 numpy==2.4.6
cat > check.py <<'EOF'
import os, subprocess, sys, threading
import av, numpy as np

NAMES = {os.SCHED_OTHER: "SCHED_OTHER", os.SCHED_FIFO: "SCHED_FIFO"}

def policy():
    return NAMES[os.sched_getscheduler(0)], os.sched_getparam(0).sched_priority

def write(codec):
    with av.open(f"{codec}.mp4", "w") as out:
        stream = out.add_stream(codec, rate=30)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        out.mux(stream.encode())

def child():
    told = "import os; print(os.sched_getscheduler(0), os.sched_getparam(0).sched_priority)"
    return subprocess.run([sys.executable, "-c", told], capture_output=True, text=True).stdout.split()

print("av", av.__version__)
begin = policy()
assert begin[0] == "SCHED_OTHER", begin
for codec in ("libx264", "libvpx-vp9"):
    write(codec)
    print(f"  after {codec}: {policy()}")
    assert policy() == begin
thread = threading.Thread(target=write, args=["libsvtav1"])
thread.start()
thread.join()
print(f"  after libsvtav1 in another thread: {policy()}")
assert policy() == begin
write("libsvtav1")
after, inherited = policy(), child()
os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
print(f"  after libsvtav1: {after}; a process started then: {NAMES[int(inherited[0])], int(inherited[1])}")
assert after == ("SCHED_FIFO", 99)
assert inherited == [str(os.SCHED_FIFO), "99"]
print("as described: the thread that encoded has real-time priority, and so has what it starts")
EOF
venv/bin/python check.py 2> log || { cat log; exit 1; }
