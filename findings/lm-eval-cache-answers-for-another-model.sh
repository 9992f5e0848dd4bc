#!/usr/bin/env bash
# lm_eval 0.4.13, `use_cache` (command line: --use_cache)
#
# One would guess: the cache of model answers is kept per model.
# What happens: answers are found by the request alone (kind, context, continuation).
#   A second model that is given the same cache file is never called and gets the first
#   model's score. Neither the model's class, name nor arguments are part of the key.
# What it means: two checkpoints of one run, scored with one cache path, have equal
#   scores without a warning. Give each checkpoint (and each change of its tokenizer,
#   dtype or template that leaves the prompts alike) a cache path of its own.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install --quiet lm_eval==0.4.13
mkdir task
for i in 0 1 2 3; do echo "{\"q\": \"Is $i a number?\", \"a\": 0}"; done > questions.jsonl
cat > task/mine.yaml <<EOF
task: mine
dataset_path: json
dataset_kwargs: {data_files: {test: $dir/questions.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{q}}"
doc_to_target: a
doc_to_choice: ["yes", "no"]
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
EOF
export HF_HOME="$dir/hf" HF_HUB_OFFLINE=1
cat > check.py <<'EOF'
import importlib.metadata
import lm_eval
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager


class Liker(LM):
    """Prefers one word, whatever is asked."""

    def __init__(self, word):
        super().__init__()
        self.word, self.asked = word, 0

    def loglikelihood(self, requests):
        self.asked += len(requests)
        return [(-1.0 if r.args[1].strip() == self.word else -9.0, False) for r in requests]

    def loglikelihood_rolling(self, requests): ...
    def generate_until(self, requests): ...


def score(word, cache):
    model = Liker(word)
    result = lm_eval.simple_evaluate(
        model=model, tasks=["mine"], use_cache=cache, bootstrap_iters=0,
        task_manager=TaskManager(include_path="task", include_defaults=False))
    return result["results"]["mine"]["acc,none"], model.asked


print("lm_eval", importlib.metadata.version("lm_eval"))
alone = score("yes", None), score("no", None)
shared = score("yes", "answers"), score("no", "answers")
print("accuracy and number of requests answered, model A and model B")
print("  without cache:        ", *alone)
print("  with one cache file:  ", *shared)
assert alone == ((1.0, 8), (0.0, 8)), alone
assert shared == ((1.0, 8), (1.0, 0)), shared
print("as described: model B got model A's score and was never asked")
EOF
venv/bin/python check.py 2> log || { cat log; exit 1; }
