"""lmms-eval itself on a local task of questions about pictures, scored by its VQAv2."""

import json
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from chiasm.errors import UserError
from chiasm.evaluation.agreement import vqa_accuracy
from chiasm.inference.request import SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.tasks import answer
from chiasm.prompts import image

pytest.importorskip("lmms_eval", reason="lmms-eval is not installed (docs/harnesses.md says how)")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # those of its own libraries
]

from lmms_eval.evaluator import simple_evaluate  # noqa: E402
from lmms_eval.models import MODEL_REGISTRY_V2  # noqa: E402
from lmms_eval.tasks import TaskManager  # noqa: E402

from chiasm.harness.lmms_eval import MANIFEST, ChiasmLMM  # noqa: E402

TASK = """
task: seen
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}, cache_dir: {cache}}}
test_split: test
output_type: generate_until
doc_to_visual: !function seen.visual
doc_to_text: !function seen.text
doc_to_target: answer
process_results: !function seen.results
generation_kwargs: {{max_new_tokens: 6, do_sample: false, temperature: 0, top_p: 1.0}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""

FUNCTIONS = """
from PIL import Image

from lmms_eval.tasks.vqav2.utils import vqav2_process_results_val


def visual(doc):
    return [Image.open(doc["picture"]).convert("RGB")]


def text(doc, lmms_eval_specific_kwargs=None):
    return doc["question"]


def results(doc, answers):
    return vqav2_process_results_val(doc, answers)
"""


def test_the_entry_point_names_the_model() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"]["lmms_eval.models"]["chiasm"].partition(":")
    assert getattr(import_module(module), name) is MANIFEST
    MODEL_REGISTRY_V2.register_manifest(MANIFEST, overwrite=True)
    assert MODEL_REGISTRY_V2.get_model_class("chiasm") is ChiasmLMM


def test_questions_are_answered_and_scored_as_ours(world_model, tmp_path: Path) -> None:
    world_model.save(tmp_path / "model")
    questions, people, pictures, lines = ["what is it?", "and here?"], [], [], []
    for shade in (20, 220):
        pictures.append(tmp_path / f"{shade}.png")
        PillowImage.new("RGB", (8, 8), (shade, 0, shade)).save(pictures[-1])
    seen = [image(path) for path in pictures]
    settings = SamplingSettings(temperature=0, max_tokens=6)
    own = answer(Sampler(world_model), seen, questions, settings=settings)
    for said, question, path in zip(own, questions, pictures, strict=True):
        people.append([said] * 2 + ["yes"] * 5 + ["no"] * 3)  # two of ten agree with the model
        answers = [{"answer": each, "answer_id": n} for n, each in enumerate(people[-1])]
        line = {"question_id": len(lines), "question": question, "picture": str(path)}
        lines.append({**line, "answers": answers})
    data, tasks = tmp_path / "seen.jsonl", tmp_path / "tasks"
    data.write_text("".join(json.dumps({"answer": "", **line}) + "\n" for line in lines))
    tasks.mkdir()
    (tasks / "seen.py").write_text(FUNCTIONS)
    (tasks / "seen.yaml").write_text(TASK.format(data=data, cache=tmp_path / "cache"))
    MODEL_REGISTRY_V2.register_manifest(MANIFEST, overwrite=True)
    found = simple_evaluate(
        model="chiasm",
        model_args=f"pretrained={tmp_path / 'model'},device=cpu",
        tasks=["seen"],
        batch_size=2,
        bootstrap_iters=0,
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
    )
    told = [sample["filtered_resps"][0] for sample in found["samples"]["seen"]]
    assert told == own
    accuracies = [vqa_accuracy(said, of) for said, of in zip(own, people, strict=True)]
    expected = sum(accuracies) / len(accuracies)
    assert found["results"]["seen"]["exact_match,none"] == pytest.approx(expected, abs=1e-4)


def test_what_it_does_not_answer_is_told(world_model) -> None:
    model = ChiasmLMM(world_model)
    with pytest.raises(UserError, match="this one scores choices"):
        model.loglikelihood([])
    with pytest.raises(UserError, match="several rounds"):
        model.generate_until_multi_round([])
