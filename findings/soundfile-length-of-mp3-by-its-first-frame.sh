#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2) reading a whole MP3 of variable bit rate that has no
# Xing header (an optional frame with the length: recordings of streams have none, nor
# what ffmpeg writes to a pipe)
#
# One would guess: the length may be an estimate, but `read` goes on to the file's end.
# What happens: the length is the file's size at the bit rate of the very first frame, and
#   reading stops there. A sound that begins louder than it goes on loses most of itself,
#   one that begins softly has a length several times too large. No error. PyAV reads
#   every sample of both.
# What it means: a song or talk from the web may be cut to its first seconds; durations,
#   hours of a set and captions by time go wrong. Compare with a decoder that goes to
#   the end, or write such files anew.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet soundfile==0.14.0 av==18.1.0 numpy==2.4.6
cat > check.py <<'EOF'
import av, numpy as np, soundfile

RATE, SECONDS = 44100, 6
time = np.arange(RATE * SECONDS) / RATE
soft = 0.2 * np.sin(2 * np.pi * 300 * time)
loud = 0.2 * np.random.default_rng(0).normal(size=len(time))
sounds = {"noise, then a tone": np.where(time < 0.25, loud, soft),
          "silence, then noise": np.where(time < 0.25, 0.0, loud)}

def write(name, samples, header):
    with av.open(name, "w", options={"write_xing": str(int(header))}) as out:
        stream = out.add_stream("libmp3lame", rate=RATE, layout="mono", options={"abr": "1", "b": "128k"})
        stream.codec_context.format = "fltp"
        for start in range(0, len(samples), 1152):
            part = samples[None, start:start + 1152].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, start
            out.mux(stream.encode(frame))
        out.mux(stream.encode())

print("soundfile", soundfile.__version__, " libsndfile", soundfile.__libsndfile_version__, " av", av.__version__)
seen = {}
for kind, samples in sounds.items():
    for header in (True, False):
        write("a.mp3", samples, header)
        with av.open("a.mp3") as source:
            right = sum(frame.samples for frame in source.decode(audio=0))
        said, read = soundfile.info("a.mp3").frames, len(soundfile.read("a.mp3")[0])
        seen[kind, header] = right, said, read
        print(f"  {kind:19}, {'with' if header else 'no':4} header:"
              f" av {right}, soundfile says {said:7}, reads {read}")
for (kind, header), (right, said, read) in seen.items():
    assert right >= RATE * SECONDS
    assert not header or said == read == right
right, said, read = seen["noise, then a tone", False]
assert said == read < 0.6 * right
right, said, read = seen["silence, then noise", False]
assert said > 2 * right and read == right
print("as described: without the header the first frame's bit rate decides")
EOF
venv/bin/python check.py 2> log || { cat log; exit 1; }
