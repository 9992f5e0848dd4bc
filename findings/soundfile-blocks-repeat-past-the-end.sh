#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2), `blocks` of an MP3 with fewer samples than its
# length promises: a download that broke off, or a whole file without a header of the
# length that begins softly (libsndfile then takes too large a length)
#
# One would guess: the blocks end where `read` ends, or an error.
# What happens: blocks go on to the promised length, and those past the end hold what was
#   in the buffer: the last block again and again, bit by bit. `read` of the same file
#   returns only what is there; a FLAC cut short raises. With `fill_value=0` the rest is
#   silence.
# What it means: a loader that streams gets sound that nobody recorded, at the full
#   length, so that checks of length pass. Give `fill_value`, or compare with `read`.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet soundfile==0.14.0 av==18.1.0 numpy==2.4.6
cat > check.py <<'EOF'
import pathlib
import av, numpy as np, soundfile

RATE, SECONDS = 44100, 6
n = np.arange(RATE * SECONDS)
melody = 0.2 * np.sin(2 * np.pi * n * (200 + 100 * (n // RATE)) / RATE)    # 200 Hz, 300 Hz, ... by the second

def pitch(block):
    return int(round(np.abs(np.fft.rfft(block)).argmax() * RATE / len(block), -2)) if block.any() else 0

print("soundfile", soundfile.__version__, " libsndfile", soundfile.__libsndfile_version__)
soundfile.write("whole.mp3", melody, RATE)
soundfile.write("whole.flac", melody, RATE)
with av.open("soft.mp3", "w", options={"write_xing": "0"}) as out:         # whole, but without the header
    stream = out.add_stream("libmp3lame", rate=RATE, layout="mono", options={"abr": "1", "b": "128k"})
    stream.codec_context.format = "fltp"
    frame = av.AudioFrame.from_ndarray(np.where(n < RATE // 4, 0, melody)[None].astype(np.float32), "fltp", "mono")
    frame.sample_rate, frame.pts = RATE, 0
    out.mux(stream.encode(frame))
    out.mux(stream.encode())
for form in ("mp3", "flac"):
    whole = pathlib.Path(f"whole.{form}").read_bytes()
    pathlib.Path(f"half.{form}").write_bytes(whole[:len(whole) // 2])

def show(name, **options):
    blocks = list(soundfile.blocks(name, blocksize=RATE, **options))
    print(f"  {name:9} read: {len(soundfile.read(name)[0]):6} samples;  blocks{options or ''}:"
          f" {sum(map(len, blocks))}, pitch of each {[pitch(b) for b in blocks]}")
    return blocks

wanted = [200, 300, 400, 500, 600, 700]
assert [pitch(b) for b in show("whole.mp3")] == wanted
soft = show("soft.mp3")
assert [pitch(b) for b in soft[:6]] == wanted and len(soundfile.read("soft.mp3")[0]) < RATE * 6.1
assert sum(map(len, soft)) > RATE * 9 and pitch(soft[7]) == 700 and (soft[8] == soft[7]).all()
cut = show("half.mp3")
filled = show("half.mp3", fill_value=0)
there = len(soundfile.read("half.mp3")[0])
assert RATE * 2 < there < RATE * 3.5 and sum(map(len, cut)) == RATE * SECONDS
assert (cut[-1] == cut[-2]).all() and pitch(cut[-1]) in wanted[:3]
assert not filled[-1].any()
try:
    list(soundfile.blocks("half.flac", blocksize=RATE))
    raise SystemExit("half of the FLAC was read without an error")
except soundfile.LibsndfileError as error:
    print(f"  half.flac raises: {error}")
print("as described: past the end the last block is repeated")
EOF
venv/bin/python check.py 2> log || { cat log; exit 1; }
