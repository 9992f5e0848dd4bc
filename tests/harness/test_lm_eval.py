"""lm-evaluation-harness itself on local tasks: its requests and its scores against our own."""

import json
import logging
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as PillowImage

import chiasm
from chiasm.documents import Document, Text
from chiasm.errors import UserError
from chiasm.evaluation.scoring import score_text
from chiasm.inference.pretrained import Pretrained

lm_eval = pytest.importorskip("lm_eval", reason='needs pip install "chiasm[harness]"')
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # those of its own libraries
]

from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

from chiasm.harness.likelihoods import Continuation, likelihoods  # noqa: E402
from chiasm.harness.lm_eval import ChiasmLM  # noqa: E402

CHOICES = [
    {"asked": "the wall is", "choices": ["red", "made of bricks", "x"], "right": 1},
    {"asked": "view of", "choices": ["a room", "an action", "one"], "right": 0},
    {"asked": "dx=+1.00 dy=", "choices": ["-0.25", "+0.25", "0"], "right": 2},
]
TEXTS = [
    {"text": "action: dx=+1.00 dyaw=+20 then a view"},
    {"text": " two  words\n"},
    {"text": "é"},
]
PROMPTS = [{"asked": "action:", "answer": "?"}, {"asked": "view of the", "answer": "?"}]

MULTIPLE = """
output_type: multiple_choice
doc_to_text: "{{asked}}"
doc_to_target: right
doc_to_choice: choices
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
"""
ROLLING = """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: word_perplexity}, {metric: byte_perplexity}, {metric: bits_per_byte}]
"""
GENERATION = """
output_type: generate_until
doc_to_text: "{{asked}}"
doc_to_target: answer
generation_kwargs: {until: ["q"], max_gen_toks: 7, do_sample: false}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""


@pytest.fixture
def run_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict]:
    """Runs a task of local JSON lines, and returns the harness's results."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def run(model, name: str, documents: list[dict], yaml: str, **options) -> dict:
        data = tmp_path / f"{name}.jsonl"
        data.write_text("".join(json.dumps(line) + "\n" for line in documents))
        where = {"data_files": {"test": str(data)}, "cache_dir": str(tmp_path / "cache")}
        head = {"task": name, "dataset_path": "json", "dataset_kwargs": where, "test_split": "test"}
        tasks = tmp_path / name
        tasks.mkdir()
        lines = [f"{key}: {json.dumps(value)}" for key, value in head.items()]
        (tasks / f"{name}.yaml").write_text("\n".join(lines) + yaml)
        manager = TaskManager(include_path=str(tasks), include_defaults=False)
        options = {"bootstrap_iters": 0, "task_manager": manager, **options}
        return lm_eval.simple_evaluate(model=model, tasks=[name], **options)

    return run


def text_nats(text: str, pretrained: Pretrained) -> float:
    """Of the tokens of a text behind ``<bod>``, by our own scoring of documents."""
    if not text:
        return 0.0
    score = score_text([Document((Text(text),))], pretrained, seed=0)
    return float((score.nats - score.marks_nats)[0])


def test_multiple_choice_is_as_our_own_scoring_has_it(world_model, run_task) -> None:
    found = run_task(ChiasmLM(world_model, batch_size=2), "choices", CHOICES, MULTIPLE)
    right = {"acc": [], "acc_norm": []}
    for sample, line in zip(found["samples"]["choices"], CHOICES, strict=True):
        context = line["asked"]
        own = [
            text_nats(context, world_model) - text_nats(f"{context} {choice}", world_model)
            for choice in line["choices"]
        ]
        told = [float(pair[0]) for pair in sample["filtered_resps"]]
        assert told == pytest.approx(own, abs=1e-4)
        sizes = [len(choice) for choice in line["choices"]]
        right["acc"].append(own.index(max(own)) == line["right"])
        per_byte = [value / size for value, size in zip(own, sizes, strict=True)]
        right["acc_norm"].append(per_byte.index(max(per_byte)) == line["right"])
    results = found["results"]["choices"]
    for metric, own in right.items():
        assert results[f"{metric},none"] == pytest.approx(sum(own) / len(own), abs=1e-4)


def test_perplexities_are_as_our_own_scoring_has_them(world_model, run_task) -> None:
    found = run_task(ChiasmLM(world_model), "rolling", TEXTS, ROLLING)["results"]["rolling"]
    texts = [line["text"] for line in TEXTS]
    nats = sum(text_nats(text, world_model) for text in texts)
    bytes_ = sum(len(text.encode()) for text in texts)
    words = sum(len(re.split(r"\s+", text)) for text in texts)
    bits = nats / math.log(2) / bytes_
    assert found["bits_per_byte,none"] == pytest.approx(bits, abs=1e-4)
    assert found["byte_perplexity,none"] == pytest.approx(2**bits, rel=1e-4)
    assert found["word_perplexity,none"] == pytest.approx(math.exp(nats / words), rel=1e-4)


def test_generation_is_what_the_model_writes(world_model, run_task, tmp_path: Path) -> None:
    """By its name, from a folder, as the command line does; one of two answers is right."""
    world_model.save(tmp_path / "model")
    model = chiasm.load(tmp_path / "model")
    settings = {"temperature": 0, "max_tokens": 7, "stop": ("q",)}
    written = model.write([line["asked"] for line in PROMPTS], **settings)
    assert all(written)
    documents = [{**PROMPTS[0], "answer": written[0]}, PROMPTS[1]]
    options = {"model_args": f"pretrained={tmp_path / 'model'}", "device": "cpu", "batch_size": 1}
    found = run_task("chiasm", "writing", documents, GENERATION, **options)
    told = [sample["filtered_resps"][0] for sample in found["samples"]["writing"]]
    assert told == written
    assert found["results"]["writing"]["exact_match,none"] == 0.5
    assert found["config"]["context_positions"] == 400


def test_pictures_are_answered_about(world_model, run_task, tmp_path: Path) -> None:
    paths = []
    for shade in (20, 220):
        paths.append(str(tmp_path / f"{shade}.png"))
        PillowImage.new("RGB", (8, 8), (shade, 0, shade)).save(paths[-1])
    documents = [{"asked": "<image>view", "answer": "?", "picture": path} for path in paths]
    yaml = GENERATION.replace("doc_to_target", 'doc_to_image: ["picture"]\ndoc_to_target')
    found = run_task(ChiasmLM(world_model), "seen", documents, yaml)
    told = [sample["filtered_resps"][0] for sample in found["samples"]["seen"]]
    model = chiasm.trained.Model(**vars(world_model))
    prompts = [(Path(path), "view") for path in paths]
    assert told == model.write(prompts, temperature=0, max_tokens=7, stop=("q",))


def requests(kind: str, *arguments: tuple) -> list[Instance]:
    return [Instance(kind, {}, own, number) for number, own in enumerate(arguments)]


def test_batches_change_nothing(short_model) -> None:
    texts = [f"{'view ' * number}action" for number in range(6)]
    asked = requests("loglikelihood", *((text, " dx=+1.00") for text in texts))
    one, many = (
        ChiasmLM(short_model, batch_size=size).loglikelihood(asked, disable_tqdm=True)
        for size in (1, 8)
    )
    assert [pair[0] for pair in one] == pytest.approx([pair[0] for pair in many], abs=1e-4)
    given = {"until": [], "max_gen_toks": 5, "do_sample": True, "temperature": 1.0}
    asked = requests("generate_until", *((text, given) for text in texts))
    one, many = (
        ChiasmLM(short_model, batch_size=size).generate_until(asked, disable_tqdm=True)
        for size in (1, 8)
    )
    assert one == many


def test_an_empty_context_is_the_begin_of_a_document(world_model) -> None:
    [(found, _)] = ChiasmLM(world_model).loglikelihood(requests("loglikelihood", ("", "view")))
    assert found == pytest.approx(-text_nats("view", world_model), abs=1e-4)


def test_a_long_context_is_cut_from_the_left_told_once_and_counted(short_model, caplog) -> None:
    model = ChiasmLM(short_model)
    long, short = "x" * 300, "view"
    with caplog.at_level(logging.WARNING):
        cut, _ = model.loglikelihood(
            requests("loglikelihood", (long, " 12"), (short, " 12")), disable_tqdm=True
        )
    kept = 1 + model.max_length - len(model.tok_encode(f"{long} 12")) + len(model.tok_encode(long))
    [whole] = model.loglikelihood(requests("loglikelihood", (long[-kept:], " 12")))
    assert cut == pytest.approx(whole, abs=1e-4)
    assert [("1 of 2" in record.message) for record in caplog.records] == [True]
    assert model.get_model_info()["contexts_cut"] == 1
    given = {"until": [], "max_gen_toks": 8}
    written = model.generate_until(requests("generate_until", (long, given)), disable_tqdm=True)
    again = requests("generate_until", ("x" * (model.max_length - 8), given))
    assert written == model.generate_until(again, disable_tqdm=True)
    assert model.get_model_info()["contexts_cut"] == 2


def test_a_text_beyond_the_context_is_scored_in_windows_behind_bod(short_model) -> None:
    model = ChiasmLM(short_model)
    text = "view of an action " * 20
    ids = model.tok_encode(text)
    assert len(ids) > 2 * model.max_length
    [found] = model.loglikelihood_rolling(requests("loglikelihood_rolling", (text,)))
    longest = model.max_length
    # The first window reads from <bod> on; a later one begins with one token of context or more.
    windows = [([], ids[:longest])]
    for begin in range(longest, len(ids), longest):
        end = min(begin + longest, len(ids))
        windows.append((ids[end - longest - 1 : begin], ids[begin:end]))
    asked = [Continuation(tuple(context), tuple(tokens)) for context, tokens in windows]
    expected = sum(own.log_probability for _, own in likelihoods(asked, short_model, rows=1))
    assert found == pytest.approx(expected, abs=1e-3)
    assert model.get_model_info()["texts_in_windows"] == 1
    assert model.loglikelihood_rolling(requests("loglikelihood_rolling", ("",))) == [0.0]


def test_what_no_model_can_answer_is_told(short_model) -> None:
    model = ChiasmLM(short_model)
    with pytest.raises(UserError, match="has 70 tokens, and the model reads at most 63"):
        model.loglikelihood(requests("loglikelihood", ("view", "z" * 70)))
    with pytest.raises(UserError, match="is empty"):
        model.loglikelihood(requests("loglikelihood", ("view", "")))
    with pytest.raises(UserError, match="no token of its own behind 'vie'"):
        model.loglikelihood(requests("loglikelihood", ("vie", "w")))
    with pytest.raises(UserError, match="max_gen_toks = 63 leaves no room for a prompt"):
        model.generate_until(requests("generate_until", ("view", {"max_gen_toks": 63})))
    with pytest.raises(UserError, match=r"generation_kwargs\.top_p = 0\.5"):
        model.generate_until(requests("generate_until", ("view", {"top_p": 0.5})))
    heard = requests("generate_until", ("view", {"max_gen_toks": 4}, {"audio": []}))
    with pytest.raises(UserError, match="gives audio"):
        model.generate_until(heard)
    with pytest.raises(UserError, match="batch_size = 'many'"):
        ChiasmLM(short_model, batch_size="many")
    with pytest.raises(UserError, match="does not exist"):
        ChiasmLM("no/such/run")
