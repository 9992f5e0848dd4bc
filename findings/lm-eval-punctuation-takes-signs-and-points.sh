#!/usr/bin/env bash
# lm_eval 0.4.13, metric `exact_match` with `ignore_punctuation: true`
#
# One would guess: a full stop or a comma around an answer is forgiven.
# What happens: every character of string.punctuation is deleted wherever it stands, so
#   minus signs, decimal points, slashes and percent signs go as well: -5 equals 5,
#   1.5 equals 15, 3/4 equals 34. Several shipped tasks with numbers as answers set it.
# What it means: a score of arithmetic or of coordinates ("action: -0.5") under this
#   flag counts wrong signs and wrong magnitudes as right. For numbers compare numbers.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet lm_eval==0.4.13
cat > check.py <<'EOF'
import importlib.metadata, pathlib
import lm_eval
from lm_eval.api.metrics import exact_match_fn

print("lm_eval", importlib.metadata.version("lm_eval"))
for said, truth in [("-5", "5"), ("1.5", "15"), ("3/4", "34"), ("10%", "10"), ("(1,2)", "12")]:
    got = [float(exact_match_fn(predictions=[said], references=[truth], ignore_punctuation=f)["exact_match"])
           for f in (False, True)]
    print(f"  answer {said!r:8} truth {truth!r:6} plain {got[0]}  ignore_punctuation {got[1]}")
    assert got == [0.0, 1.0], got
tasks = pathlib.Path(lm_eval.__file__).parent / "tasks"
users = {p.relative_to(tasks).parts[0] for p in tasks.rglob("*") if p.is_file()
         and b"ignore_punctuation: true" in p.read_bytes()}
maths = sorted(u for u in users if "gsm" in u)
print(f"  task folders that set it: {len(users)}, grade-school mathematics among them: {maths}")
assert maths
print("as described: signs, points and fractions are deleted")
EOF
venv/bin/python check.py 2> log || { cat log; exit 1; }
