#!/usr/bin/env bash
# pyarrow 26.0.1, reading a folder of parquet files (read_table, dataset)
#
# One would guess: the table has the columns of all files (nulls where one lacks it), or
#   the read fails.
# What happens: the schema is the FIRST file's, by name. A column that begins in a later
#   file is dropped without a word; the same files renamed keep it. Files whose name
#   begins with "_" or "." are not read at all, rows and all.
# What it means: captions, depths or actions added in the middle of a recording vanish,
#   and which depends on the file names. Unify the schemas of all files first, and
#   compare the number of rows with the files' own.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet pyarrow==26.0.1
cat > check.py <<'EOF'
import pathlib, shutil
import pyarrow as pa, pyarrow.dataset as ds, pyarrow.parquet as pq

def folder(**files):
    shutil.rmtree("set", ignore_errors=True)
    pathlib.Path("set").mkdir()
    for name, columns in files.items():
        pq.write_table(pa.table(columns), f"set/{name}.parquet")
    table, same = pq.read_table("set").to_pydict(), ds.dataset("set").to_table().to_pydict()
    print(f"  {sorted(files)} -> {table}")
    assert table == same
    return table

bare, rich = {"id": [1, 2]}, {"id": [3], "caption": ["a red car"]}
print("pyarrow", pa.__version__)
assert folder(a=bare, b=rich) == {"id": [1, 2, 3]}
assert folder(a=rich, b=bare) == {"id": [3, 1, 2], "caption": ["a red car", None, None]}
assert folder(a=bare, _b=bare) == {"id": [1, 2]}
print("as described: the first file decides which columns exist")
EOF
venv/bin/python check.py
