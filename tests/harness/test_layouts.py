"""Prompts of picture benchmarks, and the names that their scorers look for."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chiasm.errors import UserError
from chiasm.harness.layouts import LAYOUTS, layout_of

WORDS = {
    "geneval": ["a bench", "a red cup", "a blue cow"],
    "geneval2": ["a green cup", "two cows"],
    "dpg-bench": ["An open field.", "A castle in clouds."],
    "wise": ["the round pastry of a feast", "a clock in Rome at noon", "a leaf in autumn"],
    "t2i-compbench": ["a red cup", "a blue cow"],
}

FILES = {
    "geneval": [f"{n:05d}/samples/{s:04d}.png" for n in range(3) for s in range(4)],
    "geneval2": ["00000.png", "00001.png"],
    "dpg-bench": ["0.png", "whoops5.png"],
    "wise": ["7.png", "520.png", "641.png"],
    "t2i-compbench": [
        *(f"samples/a red cup_{n:06d}.png" for n in range(10)),
        *(f"samples/a blue cow_{n:06d}.png" for n in range(10, 20)),
    ],
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_prompts_are_read_and_pictures_named(name: str, prompts_of: Callable[..., Path]) -> None:
    layout = layout_of(name)
    prompts = layout.read(prompts_of(name))
    assert [prompt.words for prompt in prompts] == WORDS[name]
    files = layout.files(prompts, layout.samples)
    assert [str(file.path) for file in files] == FILES[name]
    numbers = [number for file in files for number in file.pictures]
    assert numbers == list(range(len(prompts) * layout.samples))
    each = [file.prompt for file in files for _ in file.pictures]
    assert each == [number // layout.samples for number in numbers]


def test_what_a_scorer_cannot_read_is_refused(prompts_of: Callable[..., Path]) -> None:
    for name, samples in (("geneval2", 2), ("dpg-bench", 2), ("wise", 4)):
        layout = layout_of(name)
        with pytest.raises(UserError, match=f"samples = {samples}"):
            layout.files(layout.read(prompts_of(name)), samples)
    with pytest.raises(UserError, match="'gen' is no benchmark; give geneval, geneval2"):
        layout_of("gen")


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("geneval", "p.jsonl", '{"prompt": "a cup"}', r"number 1 has no tag \(str\)"),
        ("geneval", "p.jsonl", "a cup", "line 1, is no JSON"),
        ("geneval", "p.jsonl", "", "no list of prompts"),
        ("wise", "p.json", '[{"Prompt": "a"}]', "number 1 has no prompt_id"),
        ("wise", "p.json", "{}", "no list of prompts"),
        ("dpg-bench", "p.txt", "a cup", "no folder of text files"),
        ("t2i-compbench", "p.txt", " \n", "has no prompts"),
        (
            "t2i-compbench",
            "p.txt",
            "a red_cup\n",
            r"number 1 \('a red_cup'\) has an underscore; change",
        ),
        ("t2i-compbench", "p.txt", "c\na/b\n", "number 2 .* has a slash; change"),
        (
            "t2i-compbench",
            "p.txt",
            f"{'long ' * 60}\n",
            r"'long .{,60}' *\) makes a name of 310 bytes",
        ),
    ],
)
def test_wrong_prompts_are_told(tmp_path: Path, name, file, content, message) -> None:
    (tmp_path / file).write_text(content)
    layout = layout_of(name)
    with pytest.raises(UserError, match=message):
        layout.files(layout.read(tmp_path / file), layout.samples)
    with pytest.raises(UserError, match=r"cannot be read|no folder"):
        layout.read(tmp_path / "missing")


def test_prompts_that_share_a_name_are_told(tmp_path: Path) -> None:
    line = json.dumps({"prompt": "a cup", "vqa_list": [], "skills": []})
    (tmp_path / "p.jsonl").write_text(f"{line}\n{line}\n")
    with pytest.raises(UserError, match="'a cup' twice"):
        layout_of("geneval2").read(tmp_path / "p.jsonl")
    for number, words in enumerate(("a clock", "a watch")):
        lines = [{"Prompt": words, "prompt_id": 3}]
        (tmp_path / f"{number}.json").write_text(json.dumps(lines))
    with pytest.raises(UserError, match="two prompts of number 3: 'a clock' and 'a watch'"):
        layout_of("wise").read(tmp_path)
