#!/usr/bin/env bash
# vizdoom 1.3.2 through its gymnasium environments, end of an episode
#
# One would guess: the last step returns the last frame, and an episode that runs out of
#   time is truncated and not terminated.
# What happens: the observation of the last step is all zeros, screen and game variables
#   alike, and the reward belongs to it; a time-out sets terminated AND truncated.
# What it means: a recorder that stores (frame, action, next frame) teaches a world model
#   that every episode ends in black with 0 ammunition; a value target that looks
#   at `terminated` does not bootstrap at time-outs. Drop the last observation.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet vizdoom==1.3.2 gymnasium==1.4.0
cat > check.py <<'EOF'
import importlib.metadata
import gymnasium
from vizdoom import gymnasium_wrapper  # registers the environments

env = gymnasium.make("VizdoomBasic-v1")
seen, _ = env.reset(seed=0)
steps, ended = 0, False
while not ended:
    before = seen
    seen, reward, terminated, truncated, _ = env.step(0)         # 0 does nothing, so the time runs out
    steps, ended = steps + 1, terminated or truncated
env.close()
print("vizdoom", importlib.metadata.version("vizdoom"), " gymnasium", gymnasium.__version__)
print(f"  {steps} steps; last but one: screen up to {before['screen'].max()}, variables {before['gamevariables']}")
print(f"  last: screen up to {seen['screen'].max()}, variables {seen['gamevariables']},"
      f" reward {reward}, terminated {terminated}, truncated {truncated}")
assert before["screen"].max() > 100 and before["gamevariables"][0] > 0
assert seen["screen"].max() == 0 and not seen["gamevariables"].any()
assert terminated and truncated
print("as described: the last frame is black, and a time-out is both")
EOF
venv/bin/python check.py 2> log || { cat log; exit 1; }
