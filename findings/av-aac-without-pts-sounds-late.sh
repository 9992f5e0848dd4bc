#!/usr/bin/env bash
# av 18.1.0 (PyAV), video and AAC in an mp4 from frames without time stamps
#
# One would guess: frames whose `pts` is not set are counted from 0, or refused.
# What happens: those of video are counted and come out right. Those of sound leave the
#   encoder without stamps, the muxer makes some up from 0, and the first 1 024 samples,
#   which only warm the encoder up, are played: the file's edit list starts at 0 where
#   it should start at 1 024. Everything sounds 21.3 ms late and the sound is 1 024
#   samples longer. With `frame.pts` set it is right. No error either way; FLAC needs none.
# What it means: pairs of picture and sound written this way are out of step, and every
#   pass through arrays adds another 1 024 samples. Set pts of every AudioFrame.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet av==18.1.0 numpy==2.4.6
cat > check.py <<'EOF'
import av, numpy as np

RATE, FRAMES, FLASH = 48000, 25, 10            # one second; a flash and a click at 0.4 s
click = np.zeros(RATE, np.float32)
click[FLASH * RATE // FRAMES:][:64] = 0.9

def write(name, samples, stamped):
    with av.open(name, "w") as out:
        video = out.add_stream("mpeg4", rate=FRAMES)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        sound = out.add_stream("aac", rate=RATE, layout="mono")
        for i in range(FRAMES):
            picture = np.full((64, 64, 3), 255 * (i == FLASH), np.uint8)
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        for start in range(0, len(samples), 1024):
            part = np.ascontiguousarray(samples[None, start:start + 1024])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.sample_rate = RATE
            if stamped:
                frame.pts = start
            out.mux(sound.encode(frame))
        out.mux(video.encode())
        out.mux(sound.encode())

def read(name):
    with av.open(name) as source:
        flash = [f.time for f in source.decode(video=0) if f.to_ndarray(format="rgb24").mean() > 128]
    with av.open(name) as source:
        frames = list(source.decode(audio=0))
    samples = np.concatenate([f.to_ndarray()[0] for f in frames])
    heard = frames[0].time + int(np.argmax(np.abs(samples) > 0.3)) / RATE
    return flash[0], heard, samples

print("av", av.__version__)
late = {}
for stamped in (True, False):
    samples = click
    for turn in (1, 2):                        # the second time from what was read the first time
        write("a.mp4", samples, stamped)
        flash, heard, samples = read("a.mp4")
        late[stamped, turn] = heard - flash
        print(f"  pts of sound {'set' if stamped else 'not set':7}, pass {turn}: flash at {flash:.4f} s,"
              f" click at {heard:.4f} s, {len(samples)} samples")
        assert abs(flash - 0.4) < 1e-3
for turn in (1, 2):
    assert abs(late[True, turn]) < 0.002
    assert abs(late[False, turn] - turn * 1024 / RATE) < 0.002
print("as described: without pts the sound is 1 024 samples late, each time")
EOF
venv/bin/python check.py 2> log || { cat log; exit 1; }
