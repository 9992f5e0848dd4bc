#!/usr/bin/env bash
# torch 2.13.0 (CPU, Python 3.11, a C++ compiler), torch.compile with inductor; complex views
#
# One would guess: a compiled function gives what it gives uncompiled, or refuses.
# What happens: rotary positions written as a complex product straight into the first heads of a new
#   tensor, torch.mul(view_as_complex(x[:, :2]), turn, out=view_as_complex(y[:, :2])), are lost: the
#   slice keeps what the tensor was made with, here zeros (with torch.empty: whatever lay there, NaN
#   at times, which gradients then carry into every weight). The backends eager and aot_eager are
#   right, and so is inductor where the whole tensor is written, or where the product is made first
#   and copied into the slice. Nothing warns but "does not support code generation for complex
#   operators. Performance may be worse than eager".
# What it means: a training whose hand-written eager kernels are compiled later can learn from heads
#   that were never turned. Compile the plain definition in real numbers instead.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
cat > check.py <<'PY'
import torch


def into_slice(x, turn):
    y = torch.zeros(x.shape)
    torch.mul(torch.view_as_complex(x[:, :2]), turn, out=torch.view_as_complex(y[:, :2]))
    return y


def into_whole(x, turn):
    y = torch.zeros(x.shape)
    torch.mul(torch.view_as_complex(x), turn, out=torch.view_as_complex(y))
    return y


def copied(x, turn):
    y = torch.zeros(x.shape)
    torch.view_as_complex(y[:, :2]).copy_(torch.view_as_complex(x[:, :2]) * turn)
    return y


print("torch", torch.__version__.split("+")[0])
x = torch.arange(1.0, 13.0).view(2, 3, 2)
turn = torch.view_as_complex(torch.tensor([0.0, 1.0]).expand(2, 1, 2).contiguous())
equal = {}
for function in (into_slice, into_whole, copied):
    for backend in ("aot_eager", "inductor"):
        torch._dynamo.reset()
        found = torch.compile(function, backend=backend)(x, turn)
        name = f"{function.__name__} {backend}"
        equal[name] = bool(torch.equal(found, function(x, turn)))
        print(f"  {name}: equal {equal[name]}, row 0 is {found[0].tolist()}")
assert [name for name, same in equal.items() if not same] == ["into_slice inductor"]
torch._dynamo.reset()
assert torch.compile(into_slice)(x, turn).count_nonzero() == 0
print("as described: inductor loses the product that is written into the slice")
PY
venv/bin/python check.py 2> log || { cat log; exit 1; }
