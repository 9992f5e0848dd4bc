#!/usr/bin/env bash
# torchmetrics 1.9.0 (torch 2.13.0), MeanSquaredError and MeanAbsoluteError of uint8
#
# One would guess: 8-bit pictures are refused or widened, as PeakSignalNoiseRatio of the
#   same package does.
# What happens: the difference and its square are taken in uint8 and wrap at 256. The
#   squared error comes out too small (88 for 16 856), the absolute one wrong either way.
#   PSNR of the same tensors is right, so the two disagree about the same error.
# What it means: pixel errors of frames as decoders give them (uint8) look far better
#   than they are. Convert to float before every metric.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 torchmetrics==1.9.0
cat > check.py <<'EOF'
import torch, torchmetrics
from torchmetrics import MeanAbsoluteError, MeanSquaredError
from torchmetrics.image import PeakSignalNoiseRatio

a = torch.tensor([0, 100, 200, 250], dtype=torch.uint8)
b = torch.tensor([10, 130, 120, 5], dtype=torch.uint8)
print("torch", torch.__version__.split("+")[0], " torchmetrics", torchmetrics.__version__)
found = {}
for metric in (MeanSquaredError(), MeanAbsoluteError(), PeakSignalNoiseRatio(data_range=255.0)):
    name = type(metric).__name__
    found[name] = [round(metric.clone()(x, y).item(), 2) for x, y in ((a, b), (a.float(), b.float()))]
    print(f"  {name:20} uint8 {found[name][0]:9}  float {found[name][1]:9}")
assert found["MeanSquaredError"] == [88.25, 16856.25] and found["MeanAbsoluteError"] == [199.25, 91.25]
assert found["PeakSignalNoiseRatio"][0] == found["PeakSignalNoiseRatio"][1]
print("as described: errors of bytes wrap round")
EOF
venv/bin/python -W ignore check.py
