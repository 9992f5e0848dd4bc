#!/usr/bin/env bash
# tokenizers 0.23.3, byte-level BPE trained from scratch
#
# One would guess: byte-level means that every text has tokens and comes back whole.
# What happens: BpeTrainer's alphabet is what the training text holds, unless
#   initial_alphabet=ByteLevel.alphabet() is given. Any other byte has no token and, with
#   no unknown token set (the default), is DROPPED: no error, no gap in the ids. Likewise
#   decode() leaves out ids beyond the vocabulary (from padded embedding rows).
# What it means: bits per byte, losses summed over tokens but divided by the text's bytes,
#   get better by what was dropped: a text of unseen letters costs 0 bits. Check
#   decode(encode(text)) == text on the evaluation set before believing the number.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet tokenizers==0.23.3
cat > check.py <<'EOF'
import tokenizers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

def train(**options):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(["the cat sat on the mat"] * 50,
                            trainers.BpeTrainer(vocab_size=300, show_progress=False, **options))
    return tok

print("tokenizers", tokenizers.__version__)
plain, full = train(), train(initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
for text in ("the cat", "the 2 cats", "ΩΨΦ", "that\tmat\n"):
    ids, all_ids = plain.encode(text).ids, full.encode(text).ids
    print(f"  {text!r:13} {len(text.encode()):2} bytes: {len(ids):2} tokens, back {plain.decode(ids)!r:12}"
          f" with the alphabet {len(all_ids):2} tokens, back {full.decode(all_ids)!r}")
    assert full.decode(all_ids) == text
assert plain.encode("ΩΨΦ").ids == [] and plain.decode(plain.encode("the 2 cats").ids) == "the  cats"
ids = full.encode("the cat").ids
odd = full.decode(ids[:1] + [full.get_vocab_size() + 7] + ids[1:])
print(f"  an id beyond the vocabulary of {full.get_vocab_size()} between two tokens: {odd!r}")
assert odd == "the cat"
print("as described: bytes without a token vanish")
EOF
venv/bin/python check.py
