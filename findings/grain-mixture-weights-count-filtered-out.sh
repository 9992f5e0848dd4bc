#!/usr/bin/env bash
# grain 0.2.18, `MapDataset.mix` of a filtered source
#
# One would guess: weights .5/.5 give half of the elements from each source.
# What happens: a filtered MapDataset keeps its old length, with holes; the mix takes
#   turns among positions, holes included, and the holes are skipped afterwards. A source
#   that keeps a tenth of its elements gets 1/11 of the mixture. A slice of it counts
#   holes too. The same mix of IterDatasets (to_iter_dataset before the mix) is exact.
# What it means: a quality filter on one source silently changes the recipe, and the
#   number of examples per rank when the source is sliced for ranks. Filter before the
#   index is made, or mix as IterDatasets, and count what was realised.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet grain==0.2.18
cat > check.py <<'EOF'
import importlib.metadata
import grain

web = grain.MapDataset.range(0, 1000).filter(lambda x: x % 10 == 0)
books = grain.MapDataset.range(1000, 2000)
half = [0.5, 0.5]

def share(mixed):
    first = [x for x, _ in zip(mixed, range(100))]
    return sum(x < 1000 for x in first) / len(first)

as_map = share(grain.MapDataset.mix([web, books], weights=half).to_iter_dataset())
as_iter = share(grain.IterDataset.mix([web.to_iter_dataset(), books.to_iter_dataset()], weights=half))
print("grain", importlib.metadata.version("grain"))
print(f"  length of the filtered source: {len(web)}, elements in it: {len(list(web.to_iter_dataset()))}")
print(f"  weight .5, share realised: MapDataset.mix {as_map}, IterDataset.mix {as_iter}")
pieces = [len(list(web[i:i + 5].to_iter_dataset())) for i in (0, 5, 10, 15)]
print(f"  elements in slices of 5: {pieces}")
assert len(web) == 1000 and as_map < 0.11 and as_iter == 0.5 and pieces == [1, 0, 1, 0]
print("as described: holes take their turn in the mixture")
EOF
venv/bin/python check.py 2> log || { cat log; exit 1; }
