"""A picture benchmark without a download: held-out captions, and probes for what they name.

The prompts have the form of GenEval's, and so have the results, which GenEval's own summary reads.
The probes are those of the evaluation's measure of drawings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.evaluation.drawings import NO_TRUTH, DrawingSettings, asked_captions, fit_probes
from chiasm.evaluation.pictures import open_reference_encoder
from chiasm.evaluation.run import Run
from chiasm.harness.drawing import Drawn
from chiasm.harness.layouts import Prompt, layout_of

TAG = "caption"

SCORER = "probes of chiasm, fitted on real training frames"


def world_prompts(run: Run[DrawingSettings]) -> str:
    """Returns held-out captions with what they name, as a file of GenEval's prompts.

    Raises:
        UserError: no source knows what its pictures show.
    """
    _, held_out = _described(run)
    captions, frames = asked_captions(held_out, run.settings.drawings)
    lines = (
        {"tag": TAG, "prompt": words, "facts": dict(held_out.facts(frame))}
        for words, frame in zip(captions, frames.tolist(), strict=True)
    )
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def told_prompts(drawn: Drawn) -> list[Prompt]:
    """Returns a folder's prompts, which tell what its pictures are to show.

    Raises:
        UserError: they do not: they are not of :func:`world_prompts`.
    """
    prompts = drawn.read_prompts()
    if drawn.benchmark != "geneval" or not all("facts" in prompt.about for prompt in prompts):
        raise UserError(
            f"{drawn.prompts} does not tell what its pictures are to show, as held-out captions do",
            remedy="score them by the benchmark's own scorer, and give the files that it wrote",
        )
    return prompts


def world_results(run: Run[DrawingSettings], drawn: Drawn, out: Path) -> str:
    """Returns what probes find in a folder's pictures, as GenEval's results: JSON lines.

    There is a line for each picture and attribute of the captions, tagged by the attribute.

    Raises:
        UserError: no source knows what its pictures show, or a picture is missing; as of
            :func:`told_prompts`.
    """
    train, _ = _described(run)
    prompts = told_prompts(drawn)
    files = layout_of(drawn.benchmark).files(prompts, drawn.samples)
    paths = [out / file.path for file in files]
    if missing := [path for path in paths if not path.is_file()]:
        raise UserError(
            f"{len(missing)} of {len(paths)} pictures are missing, such as {missing[0]}; draw them"
        )
    pictures = np.stack([run.fitted(Image(path, target=False)) for path in paths])
    encoder = open_reference_encoder(run.settings.reference_encoder)
    features_NF = run.features(pictures, encoder)
    found = {
        attribute: probe.predict(features_NF).tolist()
        for attribute, probe in fit_probes(run, train, encoder).items()
    }
    about = [prompts[file.prompt].about for file in files]
    return "".join(f"{json.dumps(line)}\n" for line in _results(paths, about, found))


def _results(
    paths: Sequence[Path], about: Sequence[Any], found: dict[str, list[str]]
) -> Iterator[dict[str, Any]]:
    for attribute, seen in found.items():
        for path, own, value in zip(paths, about, seen, strict=True):
            named = own["facts"][attribute]
            yield {
                "filename": str(path),
                "tag": attribute,
                "prompt": own["prompt"],
                "correct": value == named,
                "reason": "" if value == named else f"expected {named}, found {value}",
                "metadata": json.dumps(own),
            }


def _described(run: Run[DrawingSettings]) -> tuple[Any, Any]:
    sources = run.material.described()
    if sources is None:
        raise UserError(NO_TRUTH)
    return sources
