#!/usr/bin/env bash
# lm_eval 0.4.13, models of other packages
#
# One would guess: a package that installs an entry point in the group "lm_eval.models"
#   is found by `lm-eval run --model NAME`: the registry's own types and messages name
#   entry points, and other harnesses (lmms_eval) find models so.
# What happens: nothing ever asks importlib.metadata for entry points. A model of another
#   package exists only after an import that registers it, which the command line has no
#   option for. And the first such import, made before the harness's own models are
#   loaded, hides all of them: the list of its own is loaded only while the registry is
#   empty, so that "hf" and "dummy" are unknown afterwards.
# What it means: give users a command that imports your model and then calls the
#   harness's, and import lm_eval.models yourself before you register anything.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
# What importing its registry and models needs; tasks need the rest.
venv/bin/pip install --quiet --no-deps lm_eval==0.4.13 numpy jinja2 markupsafe pyyaml tqdm \
  typing_extensions more_itertools requests urllib3 idna certifi charset-normalizer
# A package with a model, as pip leaves it: its module, its name and its entry point.
installed=$(echo venv/lib/python3*/site-packages)
mkdir "$installed/liker-1.dist-info"
printf 'Metadata-Version: 2.1\nName: liker\nVersion: 1\n' > "$installed/liker-1.dist-info/METADATA"
printf '[lm_eval.models]\nliker = liker:Liker\n' > "$installed/liker-1.dist-info/entry_points.txt"
cat > "$installed/liker.py" <<'EOF'
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model


@register_model("liker")
class Liker(LM):
    def loglikelihood(self, requests): ...
    def loglikelihood_rolling(self, requests): ...
    def generate_until(self, requests): ...
EOF
cat > check.py <<'EOF'
import importlib.metadata
import subprocess
import sys

print("lm_eval", importlib.metadata.version("lm_eval"))
[entry] = importlib.metadata.entry_points(group="lm_eval.models")
print("  installed entry point:", entry.value)


def known(before, name):
    code = f"{before}from lm_eval.api.registry import get_model; get_model({name!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not done.returncode or "no model for this name found" in done.stderr, done.stderr
    return not done.returncode


found = {
    "liker, installed with its entry point": known("", "liker"),
    "liker, imported": known("import liker; ", "liker"),
    "dummy, nothing imported": known("", "dummy"),
    "dummy, behind import liker": known("import liker; ", "dummy"),
    "dummy, behind import lm_eval.models, liker": known("import lm_eval.models, liker; ", "dummy"),
}
for asked, answer in found.items():
    print(f"  get_model({asked}): {'found' if answer else 'unknown'}")
assert list(found.values()) == [False, True, True, False, True], found
print("as described: an entry point is not looked for, and a first import hides the others")
EOF
venv/bin/python check.py 2> log || { cat log; exit 1; }
