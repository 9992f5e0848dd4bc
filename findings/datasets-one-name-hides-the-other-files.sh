#!/usr/bin/env bash
# datasets 5.2.0, splits guessed from file names (`load_dataset` of a folder)
#
# One would guess: without folders or files called train/validation/test everything is
#   one split, "train".
# What happens: if ONE path holds test, val, dev, eval, train ... as a word between
#   separators (space . _ - digits), only files with such a word are taken. All others
#   vanish without a word, and `split="train"` may not exist. Class folders count too:
#   a class "dev board" hides every other class.
# What it means: crash-test-dummy.png or val_thorens_01.png in a folder of thousands
#   leaves one picture. Compare the rows with the files counted, or pass `data_files=`.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet datasets==5.2.0 pillow==13.0.0
export HF_HOME="$dir/hf" HF_HUB_OFFLINE=1
cat > check.py <<'EOF'
import pathlib, shutil
import datasets
from PIL import Image

def rows(*names):
    shutil.rmtree("set", ignore_errors=True)
    for name in names:
        path = pathlib.Path("set", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    found = {k: v.num_rows for k, v in datasets.load_dataset("imagefolder", data_dir="set").items()}
    print(f"  {len(names)} files {names}\n      -> {found}")
    return found

print("datasets", datasets.__version__)
assert rows("a.png", "b.png", "c.png") == {"train": 3}
assert rows("a.png", "b.png", "crash-test-dummy.png") == {"test": 1}
assert rows("a.png", "b.png", "train-station.png") == {"train": 1}
assert rows("img_1.png", "img_2.png", "val_thorens_1.png") == {"validation": 1}
assert rows("cat/1.png", "dog/1.png", "dev board/1.png") == {"validation": 1}
assert rows("a.png", "b.png", "contest.png") == {"train": 3}
print("as described: the files without the word are gone")
EOF
venv/bin/python check.py 2> log || { cat log; exit 1; }
