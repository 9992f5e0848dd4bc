#!/usr/bin/env bash
# datasets 5.2.0, cache of `Dataset.map`
#
# One would guess: the fingerprint covers the code that runs, so an edited function is
#   run again (it is, when the function stands in the main script).
# What happens: a function that is imported from a module goes into the hash by its NAME.
#   After the module is edited, a new process finds the old result and serves it. The
#   same holds for a function of the main script that calls the imported one.
# What it means: preprocessing kept in a package of one's own (tokenizers, croppers,
#   filters) is never redone after a fix. Hash the module's source into `new_fingerprint`
#   or map with `load_from_cache_file=False`.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet datasets==5.2.0
export HF_HOME="$dir/hf" HF_HUB_OFFLINE=1
echo '{"x": 1}' > rows.jsonl
cat > main.py <<'EOF'
import datasets
from prepare import shift

def through_main(row):
    return {"y": shift(row)["y"]}

rows = datasets.load_dataset("json", data_files="rows.jsonl", split="train")
print(rows.map(shift)["y"][0], rows.map(through_main)["y"][0], shift({"x": 1})["y"])
EOF
cat > alone.py <<'EOF'
import datasets
def shift(row): return {"y": row["x"] + 1}
print(datasets.load_dataset("json", data_files="rows.jsonl", split="train").map(shift)["y"][0])
EOF
run() { venv/bin/python -B "$1" 2>> log || { cat log; exit 1; }; }
venv/bin/python -c 'import datasets; print("datasets", datasets.__version__)'
echo 'def shift(row): return {"y": row["x"] + 1}' > prepare.py
before=$(run main.py); alone_before=$(run alone.py)
echo 'def shift(row): return {"y": row["x"] + 100}' > prepare.py
sed -i 's/+ 1}/+ 100}/' alone.py
after=$(run main.py); alone_after=$(run alone.py)
echo "map(imported), map(own function that calls it), plain call"
echo "  before the edit: $before"
echo "  after the edit:  $after"
echo "function inside the main script: $alone_before, after its edit $alone_after"
[ "$before" = "2 2 2" ] && [ "$after" = "2 2 101" ] && [ "$alone_before $alone_after" = "2 101" ]
echo "as described: the edit of the module was not noticed"
