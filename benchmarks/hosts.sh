#!/usr/bin/env bash
# Two network namespaces as two machines: each has its own torchrun, and they find each other by
# torchrun's rendezvous over a virtual cable. One rank each trains a recipe; the losses are compared
# with those of one process. Needs root and iproute2, and says so where it has neither.
#
#     benchmarks/hosts.sh [PYTHON]        # the Python that chiasm is installed in
set -euo pipefail
python=${1:-python}
if [ "$(id -u)" != 0 ] || ! command -v ip >/dev/null || ! ip netns add chiasm-a 2>/dev/null; then
  echo "skipped: two network namespaces need root and iproute2"
  exit 0
fi
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; ip netns del chiasm-a; ip netns del chiasm-b 2>/dev/null; rm -rf "$work"' EXIT
ip netns add chiasm-b
ip link add cable-a netns chiasm-a type veth peer name cable-b netns chiasm-b
for side in a b; do
  number=$([ $side = a ] && echo 1 || echo 2)
  ip -n chiasm-$side addr add 10.77.0.$number/24 dev cable-$side
  ip -n chiasm-$side link set cable-$side up
  ip -n chiasm-$side link set lo up
done

mkdir "$work/texts"
for number in $(seq 60); do
  echo "text $number: the red door stands left of a green lamp and a blue wall, $((number * 7919 % 997))" \
    >"$work/texts/$number.txt"
done
cat >"$work/recipe.toml" <<TOML
name = "hosts"
streams.image = { kind = "pixels", image_pixels = 8, patch_pixels = 4 }
tokenizer.vocabulary_tokens = 280
stream.sequence_length = 64
stream.batch_size = 4
stream.lanes = 4
stream.sources.texts = { kind = "text", path = "$work/texts", held_out_fraction = 0.2 }
model.width = 32
model.depth = 2
model.query_heads = 4
model.key_value_heads = 2
training.steps = 40
training.validation_batches = 1
training.schedule.warmup_steps = 5
training.parallel.shard_ranks = 2
training.parallel.timeout_seconds = 60
TOML
export OMP_NUM_THREADS=1

# Which machine hosts the rendezvous torchrun decides by the address that the host's name resolves to,
# which on a machine of several addresses need not be the endpoint's: so it is said.
machine() { # SIDE ADDRESS IS_HOST
  GLOO_SOCKET_IFNAME=cable-$1 ip netns exec "chiasm-$1" "$python" -m torch.distributed.run \
    --nnodes 2 --nproc-per-node 1 --rdzv-backend c10d --rdzv-endpoint 10.77.0.1:29500 \
    --rdzv-conf "is_host=$3" --rdzv-id hosts --local-addr "$2" -m chiasm train "$work/recipe.toml" --out "$work/two"
}
machine a 10.77.0.1 1 >"$work/a.log" 2>&1 &
first=$!
machine b 10.77.0.2 0 >"$work/b.log" 2>&1 || { tail -n 20 "$work/b.log" "$work/a.log"; exit 1; }
wait $first || { tail -n 20 "$work/a.log"; exit 1; }
tail -n 1 "$work/a.log"
"$python" -m chiasm train "$work/recipe.toml" --out "$work/one" \
  --set training.parallel.shard_ranks=1 >"$work/one.log" 2>&1
"$python" - "$work" <<'PYTHON'
import json
import sys
from pathlib import Path

two, one = (
    [json.loads(line) for line in (Path(sys.argv[1]) / name / "metrics.jsonl").open()]
    for name in ("two", "one")
)
largest = max(abs(a["loss"] / b["loss"] - 1) for a, b in zip(two, one, strict=True))
print(f"{len(two)} lines, largest relative difference of a loss to one process: {largest:.1e}")
assert largest < 1e-4
assert [line.get("tokens") for line in two] == [line.get("tokens") for line in one]
PYTHON
