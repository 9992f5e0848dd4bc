#!/usr/bin/env bash
# torch 2.13.0, flex_attention with a BlockMask made from block tables
# (BlockMask.from_kv_blocks); needs a C++ compiler for torch.compile on the CPU
#
# One would guess: eager and compiled flex_attention see the same keys.
# What happens: eager applies only mask_mod and never looks at the tables. With
#   from_kv_blocks and no mask_mod it attends to EVERYTHING, while to_dense() and
#   sparsity() of the same object show the blocks; compiled, it obeys the tables.
# What it means: an eager CPU test of hand-built tables passes whatever they hold, and a
#   model debugged in eager leaks between packed documents. Test tables compiled, or
#   through to_dense().
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
cat > check.py <<'EOF'
import torch
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from torch.nn.functional import scaled_dot_product_attention as dense_attention

torch.manual_seed(0)
tokens, block = 256, 128
q, k, v = torch.randn(3, 1, 1, tokens, 16)
count = torch.ones(1, 1, 2, dtype=torch.int32)                   # one block of keys for each block of queries:
table = torch.tensor([[[[0, 1], [1, 0]]]], dtype=torch.int32)    # its own
mask = BlockMask.from_kv_blocks(count, table, BLOCK_SIZE=block)
own = torch.arange(tokens) // block
want = dense_attention(q, k, v, attn_mask=own[:, None] == own[None])
everything = dense_attention(q, k, v)
print("torch", torch.__version__.split("+")[0], "; blocks of the mask", mask.to_dense()[0, 0].tolist())
far = {}
for name, attend in (("eager", flex_attention), ("compiled", torch.compile(flex_attention))):
    out = attend(q, k, v, block_mask=mask)
    far[name] = [(out - other).abs().max().item() for other in (want, everything)]
    print(f"  {name:9} largest difference to the blocks {far[name][0]:.1e}, to no mask at all {far[name][1]:.1e}")
assert far["eager"][0] > 0.1 and far["eager"][1] < 1e-5
assert far["compiled"][0] < 1e-5 and far["compiled"][1] > 0.1
print("as described: eager attention ignores the block table")
EOF
venv/bin/python -W ignore check.py 2> log || { cat log; exit 1; }
