#!/usr/bin/env bash
# webdataset 1.0.2 and datasets 5.2.0 reading tar shards
#
# One would guess: `cat a.tar b.tar > c.tar` is read to its end (or refused), and a shard
#   whose download broke off raises.
# What happens: both stop at the first archive's end mark: the second half of a joined
#   tar is never seen. A shard cut where a member's header should stand (or inside that
#   header) ends in silence too; if the cut goes through a sample, webdataset yields it
#   without its later columns. Only a cut inside a member's data raises for certain.
# What it means: a reader that gets to the end of a tar has no proof that it saw the
#   whole shard. Keep counts beside the shards, check that the file ends with the two
#   empty blocks, or read with ignore_zeros (GNU tar -i).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet webdataset==1.0.2 datasets==5.2.0
export HF_HOME="$dir/hf" HF_HUB_OFFLINE=1
cat > check.py <<'EOF'
import importlib.metadata, pathlib, tarfile
import datasets, webdataset

def write(name, first):
    with webdataset.TarWriter(name) as out:
        for i in range(first, first + 4):
            out.write({"__key__": f"{i:03d}", "cls": i, "txt": "word " * 20})

def read(name):
    got = {}
    for reader in ("webdataset", "datasets"):
        try:
            if reader == "webdataset":
                rows = list(webdataset.WebDataset(name, shardshuffle=False))
            else:
                rows = list(datasets.load_dataset("webdataset", data_files=name, split="train", streaming=True))
            got[reader] = [r["__key__"] + ":" + "+".join(sorted(k for k in r if k[0] != "_")) for r in rows]
        except Exception as error:
            got[reader] = type(error).__name__
        print(f"  {name:16} {reader:11} {got[reader]}")
    return got

print("webdataset", importlib.metadata.version("webdataset"), " datasets", datasets.__version__)
write("a.tar", 0)
write("b.tar", 4)
a = pathlib.Path("a.tar").read_bytes()
pathlib.Path("joined.tar").write_bytes(a + pathlib.Path("b.tar").read_bytes())
members = {m.name: m for m in tarfile.open("a.tar")}
pathlib.Path("cut_between.tar").write_bytes(a[:members["002.cls"].offset + 100])   # in the header
pathlib.Path("cut_within.tar").write_bytes(a[:members["002.txt"].offset])
pathlib.Path("cut_data.tar").write_bytes(a[:members["002.txt"].offset_data + 50])
whole = [f"{i:03d}:cls+txt" for i in range(4)]
assert all(v == whole for v in read("a.tar").values())
assert all(v == whole for v in read("joined.tar").values())
assert all(v == whole[:2] for v in read("cut_between.tar").values())
assert read("cut_within.tar")["webdataset"] == whole[:2] + ["002:cls"]
assert all(isinstance(v, str) for v in read("cut_data.tar").values())
print("as described: 4 of 8 samples of the joined tar; cut shards ended without an error")
EOF
venv/bin/python check.py 2> log || { cat log; exit 1; }
