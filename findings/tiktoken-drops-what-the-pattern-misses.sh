#!/usr/bin/env bash
# tiktoken 0.14.0 and tokenizers 0.23.3, one split pattern used in both
#
# One would guess: text between two matches of the pattern is kept as a piece of its own.
# What happens: tokenizers' Split(..., "isolated") keeps it; tiktoken.Encoding takes only
#   the matches and drops the rest without a word, although all 256 bytes have tokens.
#   A pattern of letters, digits and spaces loses every sign.
# What it means: a pattern trained with tokenizers and run with tiktoken (a usual pair:
#   one to train, one for speed) gives other ids and fewer bits per byte. End the
#   pattern with a catch-all ([\s\S]) and test decode(encode(text)) == text.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet tiktoken==0.14.0 tokenizers==0.23.3
cat > check.py <<'EOF'
import importlib.metadata
import tiktoken
from tokenizers import Regex, pre_tokenizers

pattern = r" ?\p{L}+|\p{N}|\s+"
bytes_only = {bytes([i]): i for i in range(256)}
print(*(f"{n} {importlib.metadata.version(n)} " for n in ("tiktoken", "tokenizers")))
tick = tiktoken.Encoding("bytes", pat_str=pattern, mergeable_ranks=bytes_only, special_tokens={})
whole = tiktoken.Encoding("bytes", pat_str=pattern + r"|[\s\S]", mergeable_ranks=bytes_only, special_tokens={})
split = pre_tokenizers.Split(Regex(pattern), "isolated")
for text in ("x = 3.5 (ok)!", "a-b", "dx=-0.25"):
    back = tick.decode(tick.encode(text))
    pieces = [p for p, _ in split.pre_tokenize_str(text)]
    print(f"  {text!r:16} tiktoken {len(tick.encode(text)):2} of {len(text)} bytes, back {back!r:10} tokenizers {pieces}")
    assert back != text and "".join(pieces) == text and whole.decode(whole.encode(text)) == text
assert tick.decode(tick.encode("dx=-0.25")) == "dx025"
print("as described: what the pattern does not match is gone")
EOF
venv/bin/python check.py
