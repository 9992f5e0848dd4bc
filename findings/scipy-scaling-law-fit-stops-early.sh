#!/usr/bin/env bash
# scipy 1.17.1, minimize(method="L-BFGS-B") on the parametric scaling law
# L = E + A/N^a + B/D^b, Huber loss of log residuals (delta 1e-3), several starts
#
# One would guess: the mean and the sum of the residual losses have the same minimum and
#   lead to the same fit, and success=True means that the minimum was reached.
# What happens: the stop rule compares the step's gain with max(|f|, 1), so for losses
#   far below 1 it is an ABSOLUTE threshold of 2e-9. With the mean, every start reports
#   success, and the exponents end anywhere; the best of them is still off. The same
#   data and starts with the loss times 1e6 return the true exponents from every start.
# What it means: exponents, and bootstrap intervals made of such fits, measure where the
#   optimiser gave up. Scale the objective (or lower ftol and gtol) and compare starts.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet scipy==1.17.1 numpy==2.4.6
cat > check.py <<'EOF'
import numpy as np, scipy
from scipy.optimize import minimize
from scipy.special import huber, logsumexp

N, D = (grid.ravel() for grid in np.meshgrid(np.logspace(7.5, 10, 12), np.logspace(9, 12, 20)))
exact = np.log(1.69 + 406.4 / N**0.34 + 410.7 / D**0.28)

def loss(p, scale):
    terms = [p[0] - p[3] * np.log(N), p[1] - p[4] * np.log(D), np.full(N.size, p[2])]
    return scale * huber(1e-3, logsumexp(terms, axis=0) - exact).sum()

starts = [(a, b, e, 0.5, 0.5) for a in (5, 10) for b in (5, 10) for e in (0, 0.5)]
print("scipy", scipy.__version__, "; true exponents 0.34 and 0.28,", len(starts), "starts, losses without noise")
off = {}
for name, scale in (("mean", 1 / N.size), ("sum x 1e6", 1e6)):
    fits = [minimize(loss, s, args=(scale,), method="L-BFGS-B") for s in starts]
    best = min(fits, key=lambda f: f.fun)
    a, b = (np.array([f.x[i] for f in fits]) for i in (3, 4))
    off[name] = abs(best.x[3] - 0.34), np.ptp(a)
    print(f"  {name:9}  success {sum(f.success for f in fits)}/{len(fits)}   best {best.x[3]:.4f} {best.x[4]:.4f}"
          f"   all starts: a {a.min():.3f}..{a.max():.3f}, b {b.min():.3f}..{b.max():.3f}")
    if name == "mean":
        assert all(f.success for f in fits)
assert off["mean"][0] > 1e-3 and off["mean"][1] > 0.1, off
assert off["sum x 1e6"][0] < 1e-4 and off["sum x 1e6"][1] < 1e-3, off
print("as described: the same fit depends on the unit of the loss")
EOF
OMP_NUM_THREADS=1 venv/bin/python check.py
