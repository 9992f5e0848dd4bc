"""Guidance by the head in the middle: what a study's models draw and imagine at several scales.

Every finished cell whose model has such a head is measured at each pair of scales (g, i), and its
seeds are held against themselves at the first pair.

    python benchmarks/inner_guidance.py STUDY [--scales 1:1,1:1.5,...] [--record REMARK]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from record import write_record

from chiasm.evaluation.evaluate import evaluate
from chiasm.inference.pretrained import Pretrained
from chiasm.intervals import seed_mean
from chiasm.studies.collect import Record, State, collect
from chiasm.studies.opened import Opened
from chiasm.studies.settings import load_study

SECTIONS = ("caption to picture", "next view")
ROWS = (
    "what the caption names is found in the drawn picture",
    "PSNR of the imagined next view",
    "feature distance of the imagined next view",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--scales", default="1:1,1:1.5,1:2,1:3,3:1,3:1.5")
    parser.add_argument("--record", metavar="REMARK")
    asked = parser.parse_args()
    study = load_study(asked.study)
    records = collect(study, asked.out or Path("runs/studies") / study.name)
    pairs = [tuple(map(float, pair.split(":"))) for pair in asked.scales.split(",")]
    opened, found = Opened(), defaultdict(lambda: defaultdict(list))
    for record in records:
        inner = record.cell.recipe.model.inner
        if record.state != State.FINISHED or inner is None or inner.target != "latents":
            continue
        for pair in pairs:
            print(f"{record.cell.title}: g = {pair[0]:g}, i = {pair[1]:g}", flush=True)
            for name, value in measured(record, opened, *pair).items():
                found[record.cell.name, name][pair].append(value)
    figures = {}
    for (cell, name), of_pair in found.items():
        for pair, values in of_pair.items():
            first = of_pair[pairs[0]]
            differences = [own - other for own, other in zip(values, first, strict=True)]
            mean, apart = seed_mean(values), seed_mean(differences)
            told = f"{cell}, g = {pair[0]:g}, i = {pair[1]:g}: {name}"
            figures[told] = [mean.value, mean.half_width, apart.value, apart.half_width]
            print(f"{told}: {mean.value:.4f} ± {mean.half_width:.4f}, ", end="")
            print(f"to the first {apart.value:+.4f} ± {apart.half_width:.4f}")
    if asked.record is not None:
        write_record("inner_guidance", {"remark": asked.record, **figures})


def measured(record: Record, opened: Opened, guidance: float, inner: float) -> dict[str, float]:
    """The rows, at these scales for drawn pictures and imagined views alike."""
    recipe = record.cell.recipe
    scales = {
        "guidance": guidance,
        "inner_guidance": inner,
        "next_view_guidance": guidance,
        "next_view_inner_guidance": inner,
    }
    settings = recipe.evaluation.model_copy(update=scales)
    pretrained = Pretrained.load(record.folder / "run")
    rows = evaluate(pretrained, opened.material(recipe), settings, sections=SECTIONS).rows
    return {row.name: row.value for row in rows if row.name in ROWS}


if __name__ == "__main__":
    main()
