#!/usr/bin/env bash
# lmms_eval 0.7.3, the accuracy of VQAv2 (tasks/vqav2/utils.py)
#
# One would guess: an answer that all ten people gave has accuracy 1, whatever else their
#   answers are annotated with.
# What happens: "the other people" are those whose whole annotation differs from the one
#   left out. The official files number the answers (answer_id), so nine are left. Local
#   annotations without numbers are equal where the words are: all who agree are taken
#   for the same person, nobody is left to agree with, and the accuracy is 0. Where people
#   differ it is too low: leaving out one of those who agree leaves all of them out.
# What it means: give each answer a number of its own in a data set of yours, or a model
#   that is always right scores 0 of 100 without a warning.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet --no-deps loguru lmms_eval==0.7.3
cat > check.py <<'EOF'
import importlib.metadata
import importlib.util
import sys
import types
from pathlib import Path

print("lmms_eval", importlib.metadata.version("lmms_eval"))
root = Path(importlib.util.find_spec("lmms_eval").submodule_search_locations[0])
# The two files alone: the package's own __init__ needs torch and more for the same functions.
for name in ("lmms_eval.tasks", "lmms_eval.tasks._task_utils"):
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = [str(root / "/".join(name.split(".")[1:]))]
from lmms_eval.tasks.vqav2.utils import vqav2_process_results_val as score


def accuracy(answer, people, numbered):
    told = [{"answer": each} | ({"answer_id": n} if numbered else {}) for n, each in enumerate(people)]
    return score({"question_id": 0, "answers": told}, [answer])["exact_match"]


for people in (["yes"] * 10, ["yes"] * 4 + ["no"] * 6):
    got = [accuracy("yes", people, numbered) for numbered in (True, False)]
    print(f"  {people.count('yes')} of 10 said yes: numbered {got[0]:.2f}, without numbers {got[1]:.2f}")
    assert got == ([1.0, 0.0] if people.count("yes") == 10 else [1.0, 0.6]), got
print("as described: agreement is lost where annotations are equal")
EOF
venv/bin/python check.py 2> log || { cat log; exit 1; }
