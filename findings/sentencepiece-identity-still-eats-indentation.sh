#!/usr/bin/env bash
# sentencepiece 0.2.3, normalization_rule_name="identity" with byte_fallback
#
# One would guess: the identity rule and byte fallback make the tokenizer lossless.
# What happens: remove_extra_whitespaces is a separate setting, on by default, and works
#   under "identity" too: runs of spaces become one, spaces at both ends go, so Python
#   code loses its indentation. Even with that off, U+2581 in the text comes back as a
#   space. Byte fallback sees only what is left.
# What it means: bits per byte over the original bytes is too low, and code is
#   unlearnable. Set remove_extra_whitespaces=False and test the round trip; count the
#   bytes of what the tokenizer returns.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet sentencepiece==0.2.3
cat > check.py <<'EOF'
import io
import sentencepiece as spm

code = "def f(x):\n    if x:\n        return x\n"

def train(**options):
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter([code, "the cat sat on the mat"] * 60), model_writer=model, model_type="bpe",
        vocab_size=320, hard_vocab_limit=False, byte_fallback=True, minloglevel=2,
        normalization_rule_name="identity", **options)
    return spm.SentencePieceProcessor(model_proto=model.getvalue())

print("sentencepiece", spm.__version__)
default, kept = train(), train(remove_extra_whitespaces=False, add_dummy_prefix=False)
for text in (code, "  a  b ", "x\u2581y"):
    back, back_kept = (t.decode(t.encode(text)) for t in (default, kept))
    print(f"  {text!r}, {len(text.encode())} bytes\n     identity:             {back!r}, {len(back.encode())} bytes"
          f"\n     ... and whitespace kept: {back_kept!r}")
    assert back != text and (back_kept == text) == ("\u2581" not in text)
assert default.decode(default.encode(code)) == "def f(x):\n if x:\n return x\n"
print("as described: identity is not the identity")
EOF
venv/bin/python check.py 2> log || { cat log; exit 1; }
