"""The small world model with a short context, and a benchmark's prompts in each form."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chiasm.harness.drawing import Drawn, draw_pictures, prompts_sha256
from chiasm.harness.layouts import layout_of
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.tokenizers.parts import hash_weights


@pytest.fixture(scope="session")
def short_model(world_model: Pretrained) -> Pretrained:
    """At most 63 tokens are read behind ``<bod>``."""
    return replace(world_model, context_positions=64)


GENEVAL = [
    {"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a bench"},
    {"tag": "colors", "include": [{"class": "cup", "count": 1}], "prompt": "a red cup"},
    {"tag": "colors", "include": [{"class": "cow", "count": 1}], "prompt": "a blue cow"},
]
GENEVAL2 = [
    {
        "prompt": "a green cup",
        "atom_count": 2,
        "vqa_list": [["Is the cup green?", "Yes"], ["Are there any cups?", "Yes"]],
        "skills": ["attribute", "object"],
    },
    {
        "prompt": "two cows",
        "atom_count": 2,
        "vqa_list": [["How many cows are there?", "two"]],
        "skills": ["count"],
    },
]
WISE = [
    {"Prompt": "a clock in Rome at noon", "Category": "Time", "prompt_id": 520},
    {"Prompt": "the round pastry of a feast", "Category": "Culture", "prompt_id": 7},
    {"Prompt": "a leaf in autumn", "Category": "Biology", "prompt_id": 641},
]


@pytest.fixture(scope="session")
def prompts_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Where the prompts of a benchmark lie, in its own form."""
    folder = tmp_path_factory.mktemp("prompts")
    for name, lines in (("geneval", GENEVAL), ("geneval2", GENEVAL2)):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text)
    (folder / "wise.json").write_text(json.dumps(WISE))
    (folder / "color_val.txt").write_text("a red cup\na blue cow\n\n")
    (folder / "dpg").mkdir()
    for name, words in (("0", "An open field. \n"), ("whoops5", "A castle in clouds.")):
        (folder / "dpg" / f"{name}.txt").write_text(words)
    files = {
        "geneval": "geneval.jsonl",
        "geneval2": "geneval2.jsonl",
        "dpg-bench": "dpg",
        "wise": "wise.json",
        "t2i-compbench": "color_val.txt",
    }
    return lambda name: folder / files[name]


@pytest.fixture(scope="session")
def draw(world_model: Pretrained, prompts_of: Callable[[str], Path]) -> Callable[..., Drawn]:
    """Draws a benchmark with the small model, one solver step each."""

    def drawing(name: str, out: Path, samples: int = 0, model=world_model, **changed) -> Drawn:
        layout = layout_of(name)
        path = changed.pop("prompts", None) or prompts_of(name)
        prompts = layout.read(path)
        drawn = Drawn(
            benchmark=name,
            layout=layout.home,
            prompts=str(path),
            prompts_sha256=prompts_sha256(prompts),
            num_prompts=len(prompts),
            samples=samples or layout.samples,
            model="tiny",
            weights_sha256=hash_weights(model.decoder),
            **{"seed": 5, "sampling": SamplingSettings(steps=1), **changed},
        )
        draw_pictures(model, drawn, prompts, out)
        return drawn

    return drawing
