#!/usr/bin/env bash
# torchmetrics 1.9.0 (torch 2.13.0), StructuralSimilarityIndexMeasure with its defaults
#
# One would guess: the mean SSIM of a set does not depend on how it is cut into batches.
# What happens: data_range=None (the default) takes the range of values found in each
#   batch. The constants of the formula follow it, so the same pictures score otherwise
#   with batch size 1 and 8, and dark pictures are judged by their own range. PSNR of
#   the same package refuses to guess: data_range is required there.
# What it means: reconstruction figures of two papers, or of one rank and eight, are not
#   comparable. Always give data_range=1.0 (or 255).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 torchmetrics==1.9.0
cat > check.py <<'EOF'
import torch, torchmetrics
from torchmetrics.image import StructuralSimilarityIndexMeasure as SSIM

draw = torch.Generator().manual_seed(0)
pictures = torch.nn.functional.interpolate(torch.rand(8, 3, 8, 8, generator=draw), size=(32, 32), mode="bilinear")
pictures *= torch.linspace(0.1, 1.0, 8).view(8, 1, 1, 1)             # from dark to bright
rebuilt = (pictures + 0.03 * torch.randn(pictures.shape, generator=draw)).clamp(0, 1)

def score(batch, **options):
    ssim = SSIM(**options)
    for i in range(0, 8, batch):
        ssim.update(rebuilt[i:i + batch], pictures[i:i + batch])
    return ssim.compute().item()

print("torch", torch.__version__.split("+")[0], " torchmetrics", torchmetrics.__version__)
sizes = (1, 2, 4, 8)
guessed, given = [score(b) for b in sizes], [score(b, data_range=1.0) for b in sizes]
for b, x, y in zip(sizes, guessed, given):
    print(f"  batch {b}: SSIM by default {x:.4f}, with data_range=1.0 {y:.4f}")
assert max(guessed) - min(guessed) > 0.02 and max(given) - min(given) < 1e-5
print("as described: the score depends on the batch size")
EOF
venv/bin/python -W ignore check.py
