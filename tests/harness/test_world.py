"""Held-out captions as a benchmark: its scores are those of the evaluation's own measure."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from chiasm.documents import Document, Image, Text
from chiasm.errors import UserError
from chiasm.evaluation.drawings import Drawings
from chiasm.evaluation.material import Material
from chiasm.evaluation.run import Run
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.harness.drawing import draw_pictures
from chiasm.harness.scores import read_scores
from chiasm.harness.world import world_prompts, world_results
from chiasm.inference.pretrained import Pretrained

COLORS = {"red": (220, 20, 20), "green": (20, 220, 20), "blue": (20, 20, 220)}
LIGHTS = {"dim": 0.3, "bright": 1.0}


class Walls:
    """Walls of one color under one light, with what a caption names; ten maps of six frames."""

    name = "walls"
    scattered = True

    def __init__(self, first_map: int) -> None:
        self._first = first_map

    def __len__(self) -> int:
        return 60

    @property
    def clear_frames(self) -> np.ndarray:
        return np.arange(60)

    def frame_of(self, index: int) -> int:
        return index

    def place_of(self, frame: int) -> int:
        return self._first + frame % 10

    def facts(self, frame: int) -> dict[str, str]:
        color, light = list(COLORS)[frame % 3], list(LIGHTS)[frame // 3 % 2]
        return {"color": color, "light": light}

    def picture(self, frame: int) -> Image:
        facts, noise = self.facts(frame), np.random.default_rng(self._first + frame)
        shade = np.array(COLORS[facts["color"]]) * LIGHTS[facts["light"]]
        pixels = shade + noise.normal(0, 8, (8, 8, 3))
        return Image(pixels.clip(0, 255).astype(np.uint8), target=False)

    def __getitem__(self, index: int) -> Document:
        facts = self.facts(index)
        words = Text(f"picture: a {facts['light']} {facts['color']} wall")
        return Document((words, Image(self.picture(index).data, target=True)))


@pytest.fixture
def run(world_model: Pretrained) -> Run:
    material = Material({"walls": Walls(0)}, {"walls": Walls(100)})
    settings = EvaluationSettings(drawings=12, steps=1, guidance=2.0, seed=5)
    return Run(world_model, material, settings)


def test_the_folder_scores_as_the_measure_does(run: Run, draw, tmp_path: Path) -> None:
    path = tmp_path / "out.prompts.jsonl"
    path.write_text(world_prompts(run))
    drawn = draw("geneval", tmp_path / "out", 1, prompts=path, sampling=run.settings.drawing)
    results = tmp_path / "results.jsonl"
    results.write_text(world_results(run, drawn, tmp_path / "out"))
    scores = read_scores(drawn, [results], "probes")
    own = {row.name: row for row in Drawings().measure(run).rows}
    overall, *attributes = scores.rows
    assert [row.name for row in attributes] == ["color", "light"]
    measured = own["what the caption names is found in the drawn picture"]
    assert overall.value == pytest.approx(measured.value)
    for row in attributes:
        name = f"the {row.name} that the caption names is found in the drawn picture"
        assert row.value == pytest.approx(own[name].value)
    assert {row.num_items for row in attributes} == {12}


def test_true_pictures_are_found_right(run: Run, draw, tmp_path: Path) -> None:
    """So the scorer can tell: what is drawn by a random model scores less."""
    path = tmp_path / "out.prompts.jsonl"
    path.write_text(world_prompts(run))
    drawn = draw("geneval", tmp_path / "out", 1, prompts=path)
    random = [json.loads(line) for line in world_results(run, drawn, tmp_path / "out").splitlines()]
    held_out = run.material.held_out["walls"]
    for number, prompt in enumerate(drawn.read_prompts()):
        frame = next(n for n in range(60) if held_out.facts(n) == prompt.about["facts"])
        picture = tmp_path / "out" / f"{number:05d}" / "samples" / "0000.png"
        PillowImage.fromarray(held_out.picture(frame).data).save(picture)
    true = [json.loads(line) for line in world_results(run, drawn, tmp_path / "out").splitlines()]
    assert np.mean([line["correct"] for line in true]) > 0.95
    assert np.mean([line["correct"] for line in random]) < 0.8
    assert {line["reason"] for line in true if line["correct"]} == {""}


def test_what_cannot_be_scored_is_told(run: Run, draw, world_model, tmp_path: Path) -> None:
    other = draw("geneval", tmp_path / "other", 1)
    with pytest.raises(UserError, match="does not tell what its pictures are to show"):
        world_results(run, other, tmp_path / "other")
    path = tmp_path / "out.prompts.jsonl"
    path.write_text(world_prompts(run))
    drawn = draw("geneval", tmp_path / "out", 1, prompts=path)
    missing = tmp_path / "out" / "00003" / "samples" / "0000.png"
    missing.unlink()
    with pytest.raises(UserError, match=r"1 of 12 pictures are missing.*00003"):
        world_results(run, drawn, tmp_path / "out")
    draw_pictures(world_model, drawn, drawn.read_prompts(), tmp_path / "out")
    assert missing.is_file()
    nothing = Run(world_model, Material({}, {}), run.settings)
    with pytest.raises(UserError, match="no source knows what its pictures show"):
        world_prompts(nothing)
