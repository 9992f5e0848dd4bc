#!/usr/bin/env bash
# pycocoevalcap 1.2, CIDEr
#
# One would guess: a caption equal to its only reference gets the full score, and the
#   score of a picture does not depend on which other pictures are scored.
# What happens: the full score is 10, but n-grams that a caption is too short for count
#   as missed: a perfect caption of 3 words gets 7.5, of 1 word 2.5. Word weights come
#   from the references of the very set that is scored: with one picture (or the same
#   reference everywhere) a perfect caption scores 0.
# What it means: a smoke run on one picture says nothing; scores of shards or of a
#   `--limit` cannot be averaged or compared with the full set; a set of short captions
#   has a ceiling far below 10, so print the references' own score beside the model's.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet pycocoevalcap==1.2
cat > check.py <<'EOF'
import importlib.metadata
from pycocoevalcap.cider.cider import Cider

def perfect(*captions):
    gold = {i: [c] for i, c in enumerate(captions)}
    return [round(float(x), 3) for x in Cider().compute_score(gold, gold)[1]]

five = ["two dogs run over a field", "lamp", "red car", "the blue door", "a man plays chess outside"]
print("pycocoevalcap", importlib.metadata.version("pycocoevalcap"))
together, alone, same = perfect(*five), perfect(five[0]), perfect(five[0], five[0])
for caption, score in zip(five, together):
    print(f"  {score:5}  {caption!r}, equal to its reference")
print("  the first one scored alone:", alone, " the same picture twice:", same)
assert together == [10.0, 2.5, 5.0, 7.5, 10.0] and alone == [0.0] and same == [0.0, 0.0]
print("as described: perfect captions score between 0 and 10")
EOF
venv/bin/python check.py
