#!/usr/bin/env bash
# torch 2.13.0 (CPU, Python 3.11), tensors on the meta device; torch.compiler.disable
#
# One would guess: a product of meta tensors, which computes no number, costs microseconds, and a
#   decorator that only marks a function as not to be compiled does nothing when it is applied.
# What happens: the first product out of place on the meta device (torch.ones(2, device="meta") * 2)
#   imports torch._dynamo with hundreds of modules, a second of processor time; the same product
#   in place (mul_) imports nothing. Applying torch.compiler.disable imports it as well.
# What it means: a model that is built on the meta device and filled from a file, the usual way to
#   open a checkpoint, pays this when any of its parameters is made as torch.randn(...) * 0.02.
#   Write .mul_(0.02) there.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
cat > check.py <<'PY'
import subprocess
import sys

import torch

CASES = {
    "nothing": "",
    "in place on meta": "torch.ones(2, device='meta').mul_(2)",
    "out of place on the CPU": "torch.ones(2) * 2",
    "out of place on meta": "torch.ones(2, device='meta') * 2",
    "torch.compiler.disable": "torch.compiler.disable(lambda x: x)",
}
LOOK = "import sys, time, torch\nbegin, before = time.process_time(), len(sys.modules)\n{}\n"
LOOK += "print('torch._dynamo' in sys.modules, len(sys.modules) - before, time.process_time() - begin)"

print("torch", torch.__version__.split("+")[0])
loads = {}
for name, code in CASES.items():
    command = [sys.executable, "-W", "ignore", "-c", LOOK.format(code)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    loads[name] = told[0] == "True"
    print(f"  {name}: torch._dynamo loaded: {told[0]}, {told[1]} modules, {float(told[2]):.2f} s")
assert loads == {name: name in ("out of place on meta", "torch.compiler.disable") for name in CASES}
print("as described: the first product on the meta device loads the compiler")
PY
venv/bin/python check.py 2> log || { cat log; exit 1; }
