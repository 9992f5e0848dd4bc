#!/usr/bin/env bash
# pycocotools 2.0.11, `COCO.getCatIds` and `COCO.getImgIds`
#
# One would guess: getCatIds(catNms="carrot") is the category carrot, and getImgIds of
#   several categories is every image with any of them (as getAnnIds gives annotations
#   of any of them).
# What happens: a plain string is searched as text: categories whose name is a PART of
#   it match too (carrot: car and carrot; hot dog: dog and hot dog; teddy bear: bear).
#   getImgIds then takes the INTERSECTION: only images that hold all the categories.
# What it means: a training subset "images of carrots" becomes "images with a carrot and
#   a car", in silence. Always pass a list of names, and unite the sets oneself.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet pycocotools==2.0.11
cat > check.py <<'EOF'
import contextlib, importlib.metadata, io, json
from pycocotools.coco import COCO

names = ["car", "dog", "bear", "hot dog", "carrot", "teddy bear"]
held = {0: ["carrot"], 1: ["car"], 2: ["car", "carrot"], 3: ["carrot", "dog"]}
boxes = [(image, names.index(n)) for image, ns in held.items() for n in ns]
json.dump({
    "images": [{"id": i} for i in held],
    "categories": [{"id": i, "name": n} for i, n in enumerate(names)],
    "annotations": [{"id": k, "image_id": i, "category_id": c, "area": 1, "iscrowd": 0}
                    for k, (i, c) in enumerate(boxes)]}, open("instances.json", "w"))
with contextlib.redirect_stdout(io.StringIO()):
    coco = COCO("instances.json")
found = {}
print("pycocotools", importlib.metadata.version("pycocotools"))
for asked in ("carrot", "hot dog", "teddy bear", ["carrot"]):
    ids = coco.getCatIds(catNms=asked)
    found[str(asked)] = [names[i] for i in ids]
    print(f"  asked {asked!r:14} categories {found[str(asked)]}, images {sorted(coco.getImgIds(catIds=ids))}")
both = [names.index("car"), names.index("dog")]
images = sorted(coco.getImgIds(catIds=both))
of_annotations = sorted({coco.anns[a]["image_id"] for a in coco.getAnnIds(catIds=both)})
print(f"  car or dog: getImgIds {images}, images of getAnnIds {of_annotations}")
assert found == {"carrot": ["car", "carrot"], "hot dog": ["dog", "hot dog"],
                 "teddy bear": ["bear", "teddy bear"], "['carrot']": ["carrot"]}
assert sorted(coco.getImgIds(catIds=coco.getCatIds(catNms="carrot"))) == [2]
assert sorted(coco.getImgIds(catIds=coco.getCatIds(catNms=["carrot"]))) == [0, 2, 3]
assert images == [] and of_annotations == [1, 2, 3]
print("as described: names match by part, images by intersection")
EOF
venv/bin/python check.py
