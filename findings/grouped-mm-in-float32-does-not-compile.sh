#!/usr/bin/env bash
# torch 2.13.0 (CPU, Python 3.11), torch.nn.functional.grouped_mm in float32 under torch.compile
#
# One would guess: an operation that runs eagerly for some inputs can be traced for them.
# What happens: grouped_mm multiplies float32 rows by the weights of their groups on a CPU, forward and
#   backward, and equals the products of the groups one by one. Compiled, the same call is refused
#   before any compiler runs: the function that stands for it while tracing asks for bfloat16
#   ("Expected inputs of BF16 type"). In bfloat16 both run. And in both types its gradient refuses one
#   that is expanded, as that of sum() is ("Invalid strides/sizes"), which a plain product takes.
# What it means: a mixture of experts that trains on a laptop cannot be compiled there as it is. Where
#   the host knows the groups' sizes, split the rows and multiply group by group instead. A test that
#   checks its gradients by out.sum().backward() fails for another reason than the one it looks for.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
cat > check.py <<'PY'
import torch
from torch.nn.functional import grouped_mm


def products(rows, weights, ends):
    return grouped_mm(rows, weights.transpose(1, 2), offs=ends)


print("torch", torch.__version__.split("+")[0])
ends = torch.tensor([16, 16, 48], dtype=torch.int32)
told = {}
for dtype in (torch.float32, torch.bfloat16):
    rows, weights = torch.randn(48, 32, dtype=dtype), torch.randn(3, 64, 32, dtype=dtype)
    rows.requires_grad_()
    eager = products(rows, weights, ends)
    eager.square().sum().backward(retain_graph=True)
    try:
        eager.sum().backward()
        raise SystemExit("an expanded gradient is taken")
    except RuntimeError as error:
        assert "Invalid strides/sizes" in str(error)
    parts = zip(rows.split([16, 0, 32]), weights, strict=True)
    one_by_one = torch.cat([part @ weight.T for part, weight in parts])
    torch.testing.assert_close(eager, one_by_one)
    torch._dynamo.reset()
    try:
        torch.compile(products, backend="eager")(rows, weights, ends)
        told[dtype] = "runs"
    except RuntimeError as error:
        told[dtype] = "asks for bfloat16" if "BF16" in str(error) else str(error)
    print(f"  {dtype}: eager equals the products one by one, compiled: {told[dtype]}")
assert told == {torch.float32: "asks for bfloat16", torch.bfloat16: "runs"}
print("as described: grouped_mm in float32 runs on a CPU and cannot be traced")
PY
venv/bin/python check.py 2> log || { cat log; exit 1; }
