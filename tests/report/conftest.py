"""A small evaluation made by hand, and a run folder beside it."""

import json
from pathlib import Path

import numpy as np
import pytest

from chiasm.evaluation.evaluation import (
    Animation,
    Evaluation,
    FlowPoint,
    HorizonPoint,
    Panel,
    Sample,
    Strip,
)
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.flow import FLOW_TIMES
from chiasm.report.page import Provenance

MAPS = np.arange(40) // 4


def measured(section, name, value, baseline, baseline_name, unit, better, seed=0) -> Row:
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(2, 40)) * 0.05
    measure = Measurement(section, unit, better, 0, MAPS)
    return measure.row(name, value + noise[0], baseline + noise[1], baseline_name, headline=True)


def picture(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 255, size=(2, 3))
    ramp = np.linspace(0, 1, 64)[:, None, None]
    mixed = colours[0] * ramp + colours[1] * (1 - ramp) + np.zeros((64, 64, 3))
    mixed[24:44, 10 + seed * 3 : 26 + seed * 3] = rng.integers(0, 255, size=3)
    return mixed.astype(np.uint8)


def walk(first: int) -> np.ndarray:
    return np.stack([picture(first + n) for n in range(3)])


@pytest.fixture
def evaluation() -> Evaluation:
    settings = EvaluationSettings()
    rows = (
        measured("text", "text: the model", 0.61, 0.94, "a trigram", "bits/byte", "lower"),
        measured("questions", "questions, all kinds", 0.62, 0.6, "majority", "share", "higher"),
        measured("next view", "imagined next view", 16.2, 17.4, "decoded frame", "dB", "higher"),
        Measurement("recurrence", "share", "lower", 0, MAPS).row("sentences again", MAPS / 20),
    )
    flow = tuple(
        FlowPoint(
            source,
            time,
            measured(
                "flow loss",
                f"{source} at t = {time}",
                base + (time - 0.5) ** 2,
                1 / (time**2 + (1 - time) ** 2),
                "best linear guess",
                "velocity loss",
                "lower",
            ),
        )
        for source, base in (("image_text", 0.7), ("action_video", 0.55))
        for time in FLOW_TIMES
    )
    horizons = tuple(
        HorizonPoint(
            source,
            "PSNR",
            ahead,
            measured("rollout", f"PSNR {ahead} ahead", 19 - ahead, 17, baseline, "dB", "higher"),
        )
        for source in ("", "walks & more")
        for ahead in (1, 2, 4)
        for baseline in ("last frame", "shuffled actions")
    )
    samples = (
        *(
            Sample(
                "caption to picture",
                (("caption", f"a <b>brick</b> room & a barrel {n} with a long, long description"),),
                (
                    Panel("drawn", picture(n)),
                    Panel("truth", picture(n + 1)),
                    Panel("truth through the tokenizer", picture(n + 2)),
                ),
            )
            for n in range(4)
        ),
        *(
            Sample(
                "questions",
                (("Q", "what is the wall made of?"), ("A", "brick"), ("truth", "wood")),
                (Panel("view", picture(n)),),
            )
            for n in range(4)
        ),
        *(
            Sample(
                "next view",
                (("", "action: dx=+0.34 dy=-0.02 dyaw=+12"),),
                tuple(
                    Panel(name, picture(n))
                    for name in ("before", "imagined", "truth", "truth through the tokenizer")
                ),
            )
            for n in range(4)
        ),
        Sample(
            "rollout",
            (("", "[1] ahead"),),
            (
                *(Panel(str(n), picture(n)) for n in range(7)),
                Animation.of("the walk", {"<true>": walk(0), "imagined": walk(3)}),
                Strip.of("truth", [*walk(0)]),
                Strip.of("imagined", [None, *walk(3)[1:]]),
            ),
        ),
        Sample("continuation", (("prompt", "story:"), ("", "You <stand> in a hall.")), ()),
    )
    skipped = {"planning": "no <planner> yet"}
    return Evaluation(settings, rows, flow, samples, skipped, {"text": 12.0}, horizons)


@pytest.fixture
def provenance() -> Provenance:
    return Provenance(
        "chiasm train a.toml --set 'x=<1>'", {"training": 400.0}, {"parameters": "5 M"}
    )


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run <1>"
    folder.mkdir()
    lines = [
        {
            "step": step,
            "phase": phase,
            "text_loss": 6 * 0.99**step + 1,
            "flow_loss": 1.8 * 0.98**step + 0.6,
            "per_source": {"text": {"text_loss": 2.0}},
        }
        for step in range(1, 301)
        for phase in (("train", "validation") if step % 50 == 0 else ("train",))
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "recipe.toml").write_text('[model]\nwidth = 128  # "<wide>"\n')
    (folder / "versions.json").write_text('{"torch": "2.13.0"}')
    return folder
