#!/usr/bin/env bash
# torch 2.13.0, torch.distributed.checkpoint.state_dict.get_state_dict with AdamW
#
# One would guess: reading the state of an optimiser that has not stepped changes nothing.
# What happens: to have moments to give, it takes a step with zero gradients and a learning
#   rate of 0. Weights stay, but the step counter is 1 afterwards, so that Adam's bias
#   correction is that of step 2 in the first real step: with betas (0.9, 0.95) the first
#   update is 0.73 times what it would have been.
# What it means: a run that looks for a checkpoint before its first step (with get_state_dict
#   as the target of dcp.load) is not the run that does not look. Make the moments yourself,
#   or set every state["step"] back to 0, where it should not matter whether one looked.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
cat > check.py <<'PY'
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict


def first_update(looked, gradient=1.0):
    model = nn.Linear(1, 1, bias=False)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.0)
    before = model.weight.detach().clone()
    if looked:
        get_state_dict(model, optimiser)
    assert torch.equal(model.weight, before)
    count = [float(state["step"]) for state in optimiser.state.values()]
    model.weight.grad = torch.full_like(model.weight, gradient)
    optimiser.step()
    return count, float((before - model.weight).abs())


print("torch", torch.__version__.split("+")[0])
(none, plain), (counted, shifted) = first_update(looked=False), first_update(looked=True)
print(f"  never looked at: steps before the first {none}, first update {plain:.6f}")
print(f"  state was read:  steps before the first {counted}, first update {shifted:.6f}")
expected = 1e-2 * (0.1 / (1 - 0.9**2)) / (0.05 / (1 - 0.95**2)) ** 0.5
assert none == [] and counted == [1.0]
assert abs(plain - 1e-2) < 1e-6 and abs(shifted - expected) < 1e-6
print(f"as described: reading the state counts as a step ({shifted / plain:.2f} of the first update)")
PY
venv/bin/python -W ignore check.py 2> log || { cat log; exit 1; }
