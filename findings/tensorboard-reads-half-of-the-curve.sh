#!/usr/bin/env bash
# tensorboard 2.21.0, EventAccumulator (the usual way to read a run's curve back)
#
# One would guess: Scalars("loss") returns every point that was written.
# What happens: it keeps at most 10 000 points a tag, a random draw of the others that is
#   the same each time. Of 20 000 losses half are gone, the first step and the one spike
#   may be among them. Values are float32: a token counter is wrong from 16 777 217 on.
# What it means: minima, spikes and golden curves read back from event files are those
#   of a sample; pass size_guidance={"scalars": 0} for all. Log counts in millions.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet tensorboard==2.21.0
cat > check.py <<'EOF'
import importlib.metadata
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

writer = EventFileWriter("run")
for step in range(20000):
    loss = 9.0 if step % 2000 == 1000 else 2.0         # ten spikes
    values = [Summary.Value(tag="loss", simple_value=loss),
              Summary.Value(tag="tokens", simple_value=16777217 + step)]
    writer.add_event(Event(step=step, wall_time=step, summary=Summary(value=values)))
writer.close()

def read(**options):
    events = EventAccumulator("run", **options)
    events.Reload()
    return events.Scalars("loss"), events.Scalars("tokens")

print("tensorboard", importlib.metadata.version("tensorboard"), "; 20000 points with 10 spikes written")
(loss, tokens), (again, _), (every, all_tokens) = read(), read(), read(size_guidance={"scalars": 0})
for name, points in (("by default", loss), ("size_guidance 0", every)):
    print(f"  {name:16} {len(points)} points, {sum(p.value > 5 for p in points)} spikes, first step {points[0].step}")
print(f"  tokens at step 0: written 16777217, read {all_tokens[0].value:.0f}")
assert len(loss) == 10000 and [p.step for p in loss] == [p.step for p in again]
assert sum(p.value > 5 for p in loss) < 10 and loss[0].step != 0
assert len(every) == 20000 and sum(p.value > 5 for p in every) == 10 and all_tokens[0].value == 16777216
print("as described: half of the points and some of the spikes are not returned")
EOF
venv/bin/python check.py 2> log || { cat log; exit 1; }
